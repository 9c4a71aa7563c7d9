# syntax=docker/dockerfile:1
# Small and not root: Debian's libc and the binary.

FROM rust:1.95-bookworm AS build
# The release names the packages.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin portcullis \
 && cp target/release/portcullis /portcullis \
 && mkdir -p /etc/portcullis/routes /var/lib/portcullis

FROM debian:bookworm-slim
# Whom backends, issuers and mail servers elsewhere are verified by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /portcullis /usr/local/bin/portcullis
# gateway.toml and routes/ are mounted at /etc/portcullis; what the gateway writes is a volume of its own.
COPY --from=build --chown=65532:65532 /etc/portcullis /etc/portcullis
COPY --from=build --chown=65532:65532 --chmod=700 /var/lib/portcullis /var/lib/portcullis
ENV PORTCULLIS_CONFIG=/etc/portcullis/gateway.toml
WORKDIR /etc/portcullis
VOLUME /var/lib/portcullis
EXPOSE 8080
# By number, so that orchestrators can tell that it is not root.
USER 65532:65532
# For Docker; Kubernetes has probes of its own (deploy/kubernetes). SIGTERM drains, SIGHUP reloads.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["portcullis", "ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["portcullis"]
CMD ["run"]

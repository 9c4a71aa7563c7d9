"""RESULTS.md: what was measured, how, on what."""

import pathlib
import statistics

from bench import median
from load import CONNECTIONS, IDLE
from machine import MEBIBYTE, machine
from peers import WORKS, Pingora, Portcullis

HOW = f"""\
- **Work**: GET of a 1 KiB answer over loopback, kept alive, {CONNECTIONS} connections that each ask again as soon as they are answered
  (wrk, one thread). Each proxy has one worker thread (Go's: `GOMAXPROCS=1`) and one core; the backend (nginx, which answers without
  touching a file) and wrk share another. All are started once and measured in turn, all peers on one work after another, in rounds;
  before the first round each has had one of a second that does not count.
- **CPU**: user and system time of all processes of the proxy, by `/proc`, divided by the requests answered: the figure that a busy load
  generator or a noisy machine bends least. Figures are medians over the rounds; in brackets the median of the ratios to plain pingora
  proxying in the same round. Throughput and latency are those of a proxy whose core is full or, for the cheapest, of a load
  generator whose core is full.
- **plain**: proxying without any check. **HS256 … EdDSA**: the same bearer token again and again, of a login at the gateway, the very same
  bytes for every peer. **API key**: Portcullis alone has these. **refused**: no credential, a 401 without asking the backend.
  **ES256, never seen**: every request has a token of its own, valid and never sent before.
- **The check** is the same for all: signature, `exp`, `nbf`, `iss`, `aud`. Proxies also take the credential out and set a header that
  says who calls. Before anything is measured each peer is shown a good token, one with a wrong signature, one that expired, one that
  is not valid yet, one of another issuer, one for another audience, and none; only the first may pass, and the backend must see the
  name and no credential. Portcullis also judges scopes and revocation, sets all of its identity headers, and writes its access log
  to a file; the others write none.
- **Statuses**: in every run each answer is counted as passed or refused, and their bytes. One that was not as it has to be voids the run;
  what was void is in no table but listed as left out.
- **Peers**: Envoy's `jwt_authn`, without and with its cache of verified tokens; HAProxy's `jwt_verify` by the rules that its documentation
  has; nginx with its Lua module, lua-cjson and luaossl (OpenSSL). Neither of these two has EdDSA here. Caddy and Traefik, whose free
  builds check no JWT. The FastAPI application is as its guides have it, with PyJWT, and *is* the backend: it proxies nothing. Plain
  pingora is `bench/passthrough.rs`, of the same versions and flags as Portcullis.
- **Memory** is resident memory, summed over a proxy's processes (pages that they share count for each), before the first load: after
  the start, and with {IDLE:,} open connections that each were used once. Portcullis was started anew after the login that gave the token.
"""


def ratio(figures, reference):
    """The median of the rounds' ratios to the reference of the same round."""
    both = [figures[number]["cpu"] / reference[number]["cpu"] for number in figures if number in (reference or {})]
    return statistics.median(both) if both else None


def row(*cells):
    return f"| {' | '.join(cells)} |"


def table(head, rows):
    """A header, then rows; all but the first column are numbers."""
    return "\n".join([row(*head), row("---", *["---:"] * (len(head) - 1)), *(row(*cells) for cells in rows)])


def cpu_table(results, peers):
    reference = next((figures for (peer, work), figures in results.items() if isinstance(peer, Pingora)), None)
    works = [work for work in WORKS if any((peer, work) in results for peer in peers)]

    def cell(peer, work):
        figures = results.get((peer, work))
        if not figures:
            return "–"
        times = ratio(figures, reference)
        text = f"{median(figures, 'cpu'):.1f}" + (f" ({times:.2f}×)" if times else "")
        return f"**{text}**" if isinstance(peer, Portcullis) else text

    return table(["", *works], [[peer.label, *(cell(peer, work) for work in works)] for peer in peers])


def detail_table(results, peers):
    rows = []
    for work in WORKS:
        for peer in peers:
            figures = results.get((peer, work))
            if figures:
                cpu, rates = ([figure[name] for figure in figures.values()] for name in ("cpu", "rate"))
                rows.append([
                    f"{work}: {peer.label.strip('*')}", f"{statistics.median(cpu):.1f}", f"{min(cpu):.1f}–{max(cpu):.1f}",
                    f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}–{max(rates):,.0f}",
                    f"{median(figures, 'p50') / 1000:.2f}", f"{median(figures, 'p99') / 1000:.2f}",
                ])
    return table(["", "CPU µs", "least–most", "requests/s", "least–most", "p50 ms", "p99 ms"], rows)


def memory_table(memory):
    rows = [
        [peer.label, f"{idle / MEBIBYTE:.1f}", f"{held / MEBIBYTE:.1f}", f"{(held - idle) / 1024 / IDLE:.1f}"]
        for peer, (idle, held) in memory.items()
    ]
    return table(["", "idle, MiB", f"{IDLE:,} connections, MiB", "a connection, KiB"], rows)


def write(path, about, results, memory, peers, left_out):
    """`about`: what stands at the head, by name."""
    missing = [f"- {label}{f', {work}' if work else ''}: {' '.join(reason.split())}" for label, work, reason in left_out]
    versions = [f"- {peer.label.strip('*')}: {peer.version()}" for peer in peers]
    text = f"""\
# Portcullis and its peers on the same work

Written by `{about['command']}` on {about['date']}, at commit {about['commit']}, {about['rounds']} rounds of {about['seconds']} s a figure.
Machine: {machine()}.

![CPU time of the proxy for each request](results.svg)

## CPU time of the proxy for each request, µs

{cpu_table(results, peers)}

## Throughput, latency and spread

{detail_table(results, peers)}

## Memory

{memory_table(memory)}

## Left out

{chr(10).join(missing) or 'Nothing failed.'}

## How it was measured

{HOW}
## Versions

{chr(10).join(versions)}
- load and backend: wrk {about['wrk']}, nginx {about['nginx']}
"""
    pathlib.Path(path).write_text(text)

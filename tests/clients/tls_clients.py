"""HTTP/2 by ALPN, as httpx and gRPC's own client agree on it, and refusals that arrive while they still send.

Usage: tls_clients.py GATEWAY_PORT CERTIFICATE. The gateway speaks TLS there as localhost; everything asks a credential.
"""

import ssl
import sys

import grpc
import httpx

PORT, CERTIFICATE = sys.argv[1], sys.argv[2]
SAME = bytes

with httpx.Client(http2=True, verify=ssl.create_default_context(cafile=CERTIFICATE), base_url=f"https://localhost:{PORT}") as client:
    for size in 0, 1_000_000, 10_000_000:
        answer = client.post("/upload", content=b"x" * size)
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 401), (size, answer)
        assert answer.json()["code"] == "missing_credential" and "www-authenticate" in answer.headers, answer.text
    answer = client.post("/auth/login", content=b"x" * 1_000_000, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), answer.text
    assert client.get("/.well-known/jwks.json").status_code == 200

credentials = grpc.ssl_channel_credentials(open(CERTIFICATE, "rb").read())
with grpc.secure_channel(f"localhost:{PORT}", credentials) as channel:
    for message in b"", b"x" * 1_000_000:
        try:
            answer = channel.unary_unary("/t.Closed/Unary", SAME, SAME)(message, timeout=10)
            raise AssertionError(f"answered: {answer}")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
print("both hold")

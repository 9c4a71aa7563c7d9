"""HTTP/2 together with what else a gateway does: limits, CORS, observing, listeners of every kind, own endpoints, upgrades.

Usage: h2_combined.py GATEWAY_PORT JSON, which holds the ports `plain`, `redirect`, `proxied`, `proxied_tls` and `backend`, the paths
`unix` of a socket and `store` of its database, and `password` of the user alice, whose address is alice@example.com. It is its own backend, of HTTP/1.1.
"""

import http.server
import json
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import httpx

AT = json.loads(sys.argv[2])
ORIGIN = {"origin": "https://app.example.com"}
SAME = bytes


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with what reached it, as JSON."""

    protocol_version = "HTTP/1.1"
    reached = []

    def answer(self):
        self.reached.append(self.path)
        length = self.take()
        body = json.dumps({"headers": {k.lower(): v for k, v in self.headers.items()}, "length": length}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def take(self):
        if not self.headers.get("transfer-encoding"):
            return len(self.rfile.read(int(self.headers.get("content-length") or 0)))
        length = 0
        while size := int(self.rfile.readline(), 16):
            length += len(self.rfile.read(size + 2)) - 2
        self.rfile.readline()
        return length

    do_GET = do_POST = do_PUT = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """Uploads that are refused in the middle break connections."""


threading.Thread(target=Server(("127.0.0.1", AT["backend"]), Backend).serve_forever, daemon=True).start()


def over(base="http://gateway.test", **how):
    """A client of HTTP/2 and nothing else."""
    return httpx.Client(transport=httpx.HTTPTransport(http1=False, http2=True, **how), base_url=base, timeout=20)


client = over(f"http://127.0.0.1:{AT['plain']}")


def asked(method, path, status, client=client, **more):
    """An answer that came by HTTP/2, with this status and a request id."""
    answer = client.request(method, path, **more)
    assert (answer.http_version, answer.status_code) == ("HTTP/2", status), (answer.http_version, answer, answer.text)
    assert answer.headers["x-request-id"]
    return answer


def log_in():
    return asked("POST", "/auth/login", 200, json={"username": "alice", "password": AT["password"]}).json()


def bearer(tokens):
    return {"authorization": "Bearer " + tokens["access_token"]}


def problem(answer, code):
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    told = answer.json()
    assert told["code"] == code and told["status"] == answer.status_code, told
    assert told["request_id"] == answer.headers["x-request-id"]


class Raw:
    """A connection on which the h2 library says what no client of others would."""

    def __init__(self, stream):
        self.stream = stream
        self.stream.settimeout(10)
        self.engine = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        self.engine.initiate_connection()
        self.flush()

    def flush(self):
        self.stream.sendall(self.engine.data_to_send())

    def ask(self, fields, end=True):
        """Sends a head, and gives its answer, which is whole: fields, and body. Or why the stream was reset instead."""
        number = self.engine.get_next_available_stream_id()
        self.engine.send_headers(number, fields, end_stream=end)
        self.flush()
        head, body = {}, b""
        while True:
            data = self.stream.recv(65536)
            assert data, "the connection ended"
            for event in self.engine.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    head = {k.decode(): v.decode() for k, v in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamReset):
                    return event.error_code
                elif isinstance(event, h2.events.StreamEnded):
                    self.flush()
                    return head, body
            self.flush()


def get(path, *more, scheme="http"):
    return [(":method", "GET"), (":scheme", scheme), (":authority", "shop.test"), (":path", path), *more]


def connect(port, header=b""):
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(header)
    return stream


VERSION1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 4096 443\r\n"
VERSION2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x0a\x00\x00\x01\x10\x00\x01\xbb"


def test_a_limit_answers_with_its_fields():
    for left in 1, 0:
        answer = asked("GET", "/limited/x", 200)
        assert f"r={left}" in answer.headers["ratelimit"] and answer.headers["ratelimit-policy"], answer.headers
    answer = asked("GET", "/limited/x", 429)
    problem(answer, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0 and "r=0" in answer.headers["ratelimit"], answer.headers
    assert answer.headers["ratelimit-policy"], answer.headers


def test_a_limit_tells_grpc_in_its_way():
    channel = grpc.insecure_channel(f"127.0.0.1:{AT['plain']}")
    call = channel.unary_unary("/t.Limited/Do", SAME, SAME)
    codes = []
    for _ in range(2):
        try:
            call(b"1", timeout=20)
        except grpc.RpcError as error:
            codes.append(error.code())
            metadata = {k: v for k, v in (*error.initial_metadata(), *error.trailing_metadata())}
    # The first one passes, to a backend that is none of gRPC.
    assert codes[0] != grpc.StatusCode.RESOURCE_EXHAUSTED and codes[1] == grpc.StatusCode.RESOURCE_EXHAUSTED, codes
    assert int(metadata["retry-after"]) > 0 and "ratelimit" in metadata and "x-request-id" in metadata, metadata
    more = {"content-type": "application/grpc", "te": "trailers"}
    answer = asked("POST", "/t.Limited/Do", 200, headers=more, content=b"\0\0\0\0\0")
    assert answer.headers["grpc-status"] == "8" and not answer.content, answer.headers


def test_a_preflight_is_answered_and_pages_can_read_refusals():
    want = {**ORIGIN, "access-control-request-method": "PUT", "access-control-request-headers": "authorization"}
    before = len(Backend.reached)
    answer = asked("OPTIONS", "/cors/x", 204, headers=want)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"] and not answer.content, answer.headers
    assert "PUT" in answer.headers["access-control-allow-methods"], answer.headers
    assert len(Backend.reached) == before
    answer = asked("PUT", "/cors/x", 401, headers=ORIGIN)
    problem(answer, "missing_credential")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"], answer.headers
    answer = asked("OPTIONS", "/cors/x", 204, headers={**want, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers, answer.headers


def test_observing_lets_pass_as_nobody():
    told = {"authorization": "Bearer not.a.token", "x-auth-user": "admin"}
    seen = asked("POST", "/observed/x", 200, headers=told, content=b"body").json()
    assert seen["headers"]["authorization"] == told["authorization"] and seen["length"] == 4, seen
    assert not [name for name in seen["headers"] if name.startswith("x-auth-")], seen


def test_a_listener_for_https_sends_there():
    there = over(f"http://127.0.0.1:{AT['redirect']}")
    answer = asked("POST", "/closed/x?y=1", 308, client=there, content=b"x" * 100_000)
    assert answer.headers["location"] == "https://127.0.0.1/closed/x?y=1", answer.headers
    asked("GET", "/closed/x", 308, client=there)


def test_a_proxy_header_comes_before_http_2_in_the_clear_and_encrypted():
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    for header in VERSION1, VERSION2:
        for _ in range(2):
            raw = Raw(connect(AT["proxied"], header))
            for forged in (), (("x-forwarded-for", "198.51.100.1"),):
                head, body = raw.ask(get("/open/x", *forged))
                assert head[":status"] == "200", head
                assert json.loads(body)["headers"]["x-forwarded-for"] == "203.0.113.9", body
        stream = trusting.wrap_socket(connect(AT["proxied_tls"], header), server_hostname="localhost")
        assert stream.selected_alpn_protocol() == "h2"
        head, body = Raw(stream).ask(get("/open/x", scheme="https"))
        seen = json.loads(body)["headers"]
        assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("203.0.113.9", "https"), seen
    # Without one nothing is heard.
    for port in AT["proxied"], AT["proxied_tls"]:
        stream = connect(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        stream.settimeout(20)
        try:
            assert not stream.recv(1)
        except ConnectionError:
            pass


def test_a_unix_socket_speaks_it():
    local = over(uds=AT["unix"])
    seen = asked("GET", "/open/x", 200, client=local, headers={"x-real-ip": "198.51.100.1"}).json()
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1" == seen["headers"]["x-real-ip"], seen
    problem(asked("GET", "/closed/x", 401, client=local), "missing_credential")


def test_own_endpoints_take_json_and_forms():
    told = {"username": "alice", "password": AT["password"]}
    for how in {"json": told}, {"data": told}, {"data": {"grant_type": "password", **told}}:
        tokens = asked("POST", "/auth/login", 200, **how).json()
        assert asked("GET", "/auth/me", 200, headers=bearer(tokens)).json()["username"] == "alice"
        kind = next(iter(how))
        fresh = asked("POST", "/auth/refresh", 200, **{kind: {"refresh_token": tokens["refresh_token"]}}).json()
        assert fresh["refresh_token"] != tokens["refresh_token"]
        asked("POST", "/auth/logout", 204, **{kind: {"refresh_token": fresh["refresh_token"]}})
        problem(asked("GET", "/auth/me", 401, headers=bearer(fresh)), "invalid_token")
        asked("POST", "/auth/refresh", 401, **{kind: {"refresh_token": fresh["refresh_token"]}})
    problem(asked("POST", "/auth/login", 401, data={**told, "password": "wrong"}), "invalid_credentials")
    problem(asked("POST", "/auth/login", 415, content=b"x", headers={"content-type": "text/plain"}), "unsupported_media_type")
    problem(asked("POST", "/auth/login", 413, content=b"x" * 100_000, headers={"content-type": "application/json"}), "body_too_large")
    answer = asked("DELETE", "/auth/login", 405)
    assert "POST" in answer.headers["allow"], answer.headers


def test_an_address_that_is_not_verified_reaches_no_backend():
    forged = {"x-auth-email": "forged@example.com", "x_auth_email": "forged@example.com"}

    def emails():
        seen = asked("GET", "/closed/x", 200, headers={**bearer(log_in()), **forged}).json()["headers"]
        assert seen["x-auth-user"] == "alice", seen
        return {name: value for name, value in seen.items() if "email" in name}

    assert emails() == {"x-auth-email": "alice@example.com"}
    with sqlite3.connect(AT["store"], timeout=10) as store:
        store.execute("UPDATE users SET email_verified = 0")
    assert not emails()


def test_a_websocket_is_refused_and_the_connection_goes_on():
    raw = Raw(connect(AT["plain"]))
    before = len(Backend.reached)
    extended = [(":method", "CONNECT"), (":protocol", "websocket"), *get("/open/x")[1:], ("sec-websocket-version", "13")]
    # It was not offered, so it is malformed (RFC 8441 §3).
    assert raw.ask(extended, end=False) == h2.errors.ErrorCodes.PROTOCOL_ERROR
    head, _ = raw.ask([(":method", "CONNECT"), (":authority", "shop.test:443")], end=False)
    assert head[":status"] == "405", head
    assert len(Backend.reached) == before
    head, body = raw.ask(get("/open/x"))
    assert head[":status"] == "200", head


def curl(path, *more, size):
    told = ["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", *more]
    url = f"http://127.0.0.1:{AT['plain']}{path}"
    done = subprocess.run([*told, "--data-binary", "@-", url], input=b"x" * size, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, (path, more, done)
    return done.stdout.decode()


def test_a_large_upload_hears_why_it_is_refused():
    for path, size, status, code in [
        ("/small/x", 20_000_000, 413, "body_too_large"),
        ("/closed/x", 40_000_000, 401, "missing_credential"),
        ("/nowhere", 20_000_000, 404, "no_route"),
    ]:
        for more in ("-H", "Expect: 100-continue"), ("-H", "Expect:"), ("-H", "Transfer-Encoding: chunked"):
            answer = curl(path, *more, size=size)
            assert answer.endswith(f"\n2 {status}") and f'"code":"{code}"' in answer, (path, more, answer)


tests = [(name, test) for name, test in list(globals().items()) if name.startswith("test_")]
for name, test in tests:
    test()
    print("ok", name)
print(f"{len(tests)} of {len(tests)} hold")

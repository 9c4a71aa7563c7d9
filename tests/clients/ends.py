"""What ends a stream of HTTP/2: a logout, and a backend that takes nothing; and what does not: taking one's time.

Usage: ends.py GATEWAY_PORT EVENTS_PORT GRPC_PORT DEAF_PORT PASSWORD. It is its own backends. The gateway has the routes
/events/** (a credential, by HTTP/1.1), /t.Closed/** (a credential, by h2c), and with `timeout = "1s"`, `read_timeout = "1s"`
/t.Quick/** to the same server, /deaf/** and /deaf2/** (h2c) to one that reads heads only, and the user alice.
"""

import http.client
import http.server
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import h2.config
import h2.connection
import httpx

GATEWAY, EVENTS, GRPC, DEAF = map(int, sys.argv[1:5])
URL = f"http://127.0.0.1:{GATEWAY}"
SAME = bytes


class Events(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"data: %f\n\n" % time.monotonic())
                time.sleep(0.01)
        except OSError:
            pass

    def log_message(self, *_):
        pass


class Service(grpc.GenericRpcHandler):
    def both(self, messages, _context):
        for message in messages:
            yield message

    def up(self, messages, _context):
        return b"%d" % sum(len(message) for message in messages)

    def service(self, call):
        if call.method.endswith("/Up"):
            return grpc.stream_unary_rpc_method_handler(self.up, SAME, SAME)
        return grpc.stream_stream_rpc_method_handler(self.both, SAME, SAME)


def deaf(listener):
    """Takes what comes, and gives no window for more: a body stops after 64 KiB by HTTP/2, and after what the kernel holds."""

    def serve(client):
        start = client.recv(24)
        if not start.startswith(b"PRI "):
            return time.sleep(60)
        engine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        engine.initiate_connection()
        engine.receive_data(start)
        while True:
            client.sendall(engine.data_to_send())
            data = client.recv(65536)
            if not data:
                return None
            engine.receive_data(data)

    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


events = http.server.ThreadingHTTPServer(("127.0.0.1", EVENTS), Events)
threading.Thread(target=events.serve_forever, daemon=True).start()
server = grpc.server(futures.ThreadPoolExecutor(20), handlers=(Service(),))
assert server.add_insecure_port(f"127.0.0.1:{GRPC}")
server.start()
threading.Thread(target=deaf, args=(socket.create_server(("127.0.0.1", DEAF)),), daemon=True).start()
channel = grpc.insecure_channel(f"127.0.0.1:{GATEWAY}")
client = httpx.Client(http1=False, http2=True, base_url=URL, timeout=20)


def log_in():
    answer = client.post("/auth/login", json={"username": "alice", "password": sys.argv[5]})
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200), answer.text
    return answer.json()


def bearer(tokens):
    return {"authorization": "Bearer " + tokens["access_token"]}


def log_out(tokens):
    answer = client.post("/auth/logout", headers=bearer(tokens))
    assert answer.status_code == 204 and answer.http_version == "HTTP/2", answer.text


class Listener(threading.Thread):
    """An event stream on the one connection of `client`: when its last event came, and how it ended."""

    def __init__(self, tokens):
        super().__init__(daemon=True)
        self.tokens, self.last, self.error, self.heard = tokens, 0, None, threading.Event()
        self.start()
        assert self.heard.wait(10)

    def run(self):
        try:
            with client.stream("GET", "/events/x", headers=bearer(self.tokens)) as answer:
                for _ in answer.iter_raw():
                    self.last = time.monotonic()
                    self.heard.set()
        except httpx.HTTPError as error:
            self.error = error


def test_a_logout_ends_an_event_stream_and_spares_the_others_of_its_connection():
    gone, stays = log_in(), log_in()
    ended, lives = Listener(gone), Listener(stays)
    log_out(gone)
    answered = time.monotonic()
    ended.join(10)
    assert not ended.is_alive() and ended.error is not None, "it does not look whole"
    assert ended.last <= answered + 0.05, ended.last - answered
    time.sleep(0.2)
    assert lives.is_alive() and time.monotonic() - lives.last < 0.1
    assert client.get("/events/x", headers=bearer(gone)).status_code == 401
    log_out(stays)
    lives.join(10)
    assert not lives.is_alive()


def test_a_logout_ends_a_grpc_stream_and_spares_the_others_of_its_connection():
    def begin():
        tokens, asked = log_in(), queue.Queue()
        metadata = tuple(bearer(tokens).items())
        answers = channel.stream_stream("/t.Closed/Both", SAME, SAME)(iter(asked.get, None), metadata=metadata, timeout=20)
        asked.put(b"1")
        assert next(answers) == b"1"
        return tokens, asked, answers

    (gone, asked, ended), (_, asks, lives) = begin(), begin()
    log_out(gone)
    asked.put(b"2")
    try:
        raise AssertionError(f"answered: {next(ended)!r}")
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE), error
    asks.put(b"2")
    assert next(lives) == b"2"
    asked.put(None)
    asks.put(None)


def test_a_client_that_takes_its_time_is_not_a_silent_backend():
    def slowly():
        for _ in range(8):
            yield b"12345"
            time.sleep(0.5)

    assert channel.stream_unary("/t.Quick/Up", SAME, SAME)(slowly(), timeout=20) == b"40"


def test_a_call_in_which_nobody_says_anything_ends():
    asked = queue.Queue()
    try:
        answer = list(channel.stream_stream("/t.Quick/Both", SAME, SAME)(iter(asked.get, None), timeout=20))
        raise AssertionError(f"answered: {answer}")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and "20" not in error.details(), error
    asked.put(None)


def test_a_backend_that_takes_nothing_of_a_body_is_given_up():
    body = b"x" * 12_000_000
    for path in "/deaf/x", "/deaf2/x":
        told = ["curl", "-s", "-w", "\n%header{x-request-id} %header{content-type} %{http_code}", "--http2-prior-knowledge"]
        answer = subprocess.run([*told, "--data-binary", "@-", URL + path], input=body, capture_output=True, timeout=20, check=True)
        problem, head = answer.stdout.decode().rsplit("\n", 1)
        problem = json.loads(problem)
        assert head == f"{problem['request_id']} application/problem+json 504" and problem["code"] == "gateway_timeout", answer
        plain = http.client.HTTPConnection("127.0.0.1", GATEWAY, timeout=20)
        try:
            plain.request("POST", path, body)
            status = plain.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            assert not isinstance(error, TimeoutError), "it lives for ever"
            status = 504
        assert status == 504, (path, status)


def test_a_call_of_grpc_whose_message_nobody_takes_ends_with_the_reason():
    try:
        answer = channel.unary_unary("/deaf2/x", SAME, SAME)(b"x" * 3_000_000, timeout=20)
        raise AssertionError(f"answered: {answer!r}")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and "20" not in error.details(), error
        told = {name for name, _ in (*error.initial_metadata(), *error.trailing_metadata())}
        assert "x-request-id" in told, error


tests = [(name, test) for name, test in list(globals().items()) if name.startswith("test_")]
for name, test in tests:
    test()
    print("ok", name)
print(f"{len(tests)} of {len(tests)} hold")
sys.stdout.flush()
# Threads that wait for streams would hold it up.
import os

os._exit(0)

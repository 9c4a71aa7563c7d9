"""gRPC through the gateway: calls of every kind, refusals with their codes, by the library that most clients stand on.

Usage: grpc_calls.py GATEWAY_PORT BACKEND_PORT. It is its own backend. The gateway has the routes /t.Open/** (anonymous),
/t.Closed/** (the scope x:y) and /t.Limited/** (max_body = "1KiB") to it by h2c, /t.Away/** to nobody, and /t.Quick/** with
`timeout = "1s"`.
"""

import queue
import sys
import threading
from concurrent import futures

import grpc

GATEWAY, BACKEND = sys.argv[1], sys.argv[2]
SAME = bytes  # messages are bytes, so that nothing has to be compiled


class Service(grpc.GenericRpcHandler):
    reached = set()
    cancelled = threading.Event()

    def unary(self, message, context):
        context.send_initial_metadata((("x-initial", "first"),))
        context.set_trailing_metadata((("x-trailing", "last"),))
        return message

    def metadata(self, _message, context):
        return repr(sorted(context.invocation_metadata())).encode()

    def fail(self, _message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "n\u00e4h, 100 %")

    def slow(self, message, context):
        done = threading.Event()
        context.add_callback(done.set)
        if done.wait(10):
            self.cancelled.set()
        return message

    def server(self, message, _context):
        for number in range(100):
            yield message + b"%d" % number

    def client(self, messages, _context):
        return b"%d" % sum(len(message) for message in messages)

    def both(self, messages, _context):
        for message in messages:
            yield b"<" + message + b">"

    def dies(self, message, context):
        yield message
        context.abort(grpc.StatusCode.DATA_LOSS, "half way")

    def service(self, call):
        self.reached.add(call.method)
        name = call.method.rsplit("/", 1)[1].lower()
        kinds = {"server": "unary_stream", "client": "stream_unary", "both": "stream_stream", "dies": "unary_stream"}
        make = getattr(grpc, kinds.get(name, "unary_unary") + "_rpc_method_handler")
        return make(getattr(self, name), SAME, SAME) if hasattr(self, name) else None


server = grpc.server(futures.ThreadPoolExecutor(20), handlers=(Service(),))
assert server.add_insecure_port(f"127.0.0.1:{BACKEND}")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{GATEWAY}")


def unary(method):
    return channel.unary_unary(method, SAME, SAME)


def refused(call, code, detail=""):
    try:
        answer = call()
        answer = answer if isinstance(answer, bytes) else list(answer)
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        assert detail in error.details(), error.details()
        return dict(error.trailing_metadata() or ()) | dict(error.initial_metadata() or ())
    raise AssertionError(f"answered: {answer!r}")


def test_unary():
    answer, call = unary("/t.Open/Unary").with_call(b"hello", timeout=10)
    assert answer == b"hello" and call.code() == grpc.StatusCode.OK
    assert dict(call.initial_metadata())["x-initial"] == "first" and dict(call.trailing_metadata())["x-trailing"] == "last"


def test_metadata():
    sent = (("x-auth-user", "forged"), ("x-mine", "1"), ("data-bin", b"\0\xff"))
    got = unary("/t.Open/Metadata")(b"", metadata=sent).decode()
    assert "forged" not in got and "x-mine" in got and r"\x00\xff" in got and "x-request-id" in got, got


def test_server_streaming():
    assert list(channel.unary_stream("/t.Open/Server", SAME, SAME)(b"n", timeout=10)) == [b"n%d" % n for n in range(100)]


def test_client_streaming():
    chunk = b"x" * 100_000
    assert channel.stream_unary("/t.Open/Client", SAME, SAME)(iter([chunk] * 100), timeout=20) == b"10000000"


def test_both_streaming():
    asked = queue.Queue()
    answers = channel.stream_stream("/t.Open/Both", SAME, SAME)(iter(asked.get, None), timeout=10)
    for number in range(10):
        # Each answer comes before the next is asked: nothing is held back.
        asked.put(b"%d" % number)
        assert next(answers) == b"<%d>" % number
    asked.put(None)
    assert not list(answers) and answers.code() == grpc.StatusCode.OK


def test_large_messages():
    message = b"x" * 3_000_000
    assert unary("/t.Open/Unary")(message, timeout=20) == message


def test_a_status_of_the_backend():
    refused(lambda: unary("/t.Open/Fail")(b""), grpc.StatusCode.FAILED_PRECONDITION, "n\u00e4h, 100 %")
    refused(lambda: channel.unary_stream("/t.Open/Dies", SAME, SAME)(b"x"), grpc.StatusCode.DATA_LOSS, "half way")


def test_a_deadline_cancels_the_backend():
    refused(lambda: unary("/t.Open/Slow")(b"", timeout=0.5), grpc.StatusCode.DEADLINE_EXCEEDED)
    assert Service.cancelled.wait(8), "the backend goes on"


def test_refusals():
    told = refused(lambda: unary("/t.Closed/Unary")(b""), grpc.StatusCode.UNAUTHENTICATED, "bearer token")
    assert told["www-authenticate"] == 'Bearer realm="portcullis", scope="x:y"' and told["x-request-id"], told
    bad = (("authorization", "Bearer x"),)
    told = refused(lambda: unary("/t.Closed/Unary")(b"", metadata=bad), grpc.StatusCode.UNAUTHENTICATED)
    assert 'error="invalid_token"' in told["www-authenticate"], told
    refused(lambda: unary("/t.Nowhere/Unary")(b""), grpc.StatusCode.UNIMPLEMENTED, "No route")
    refused(lambda: unary("/t.Away/Unary")(b""), grpc.StatusCode.UNAVAILABLE, "can't be reached")
    refused(lambda: unary("/t.Quick/Slow")(b""), grpc.StatusCode.DEADLINE_EXCEEDED, "in time")
    refused(lambda: unary("/t.Limited/Unary")(b"x" * 5000), grpc.StatusCode.RESOURCE_EXHAUSTED, "1024")
    two = (("authorization", "Bearer a"), ("x-api-key", "b"))
    refused(lambda: unary("/t.Closed/Unary")(b"", metadata=two), grpc.StatusCode.INVALID_ARGUMENT)
    assert not [method for method in Service.reached if "Closed" in method], Service.reached


def test_a_stream_that_does_not_end_is_refused_all_the_same():
    asked = queue.Queue()
    asked.put(b"x")
    calls = channel.stream_unary("/t.Closed/Client", SAME, SAME), channel.stream_stream("/t.Closed/Both", SAME, SAME)
    for call in calls:
        refused(lambda call=call: call(iter(asked.get, None), timeout=10), grpc.StatusCode.UNAUTHENTICATED)
    asked.put(None)
    asked.put(None)
    assert unary("/t.Open/Unary")(b"on the same connection") == b"on the same connection"


def test_a_refusal_in_the_middle_ends_the_call_with_its_code():
    asked = queue.Queue()
    asked.put(b"x" * 100)
    answers = channel.stream_stream("/t.Limited/Both", SAME, SAME)(iter(asked.get, None), timeout=10)
    assert next(answers) == b"<" + b"x" * 100 + b">"
    asked.put(b"y" * 5000)
    refused(lambda: answers, grpc.StatusCode.RESOURCE_EXHAUSTED, "1024")
    asked.put(None)


def test_many_at_once():
    calls = [unary("/t.Open/Unary").future(b"%d" % number, timeout=30) for number in range(500)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(500)]


tests = [(name, test) for name, test in list(globals().items()) if name.startswith("test_")]
for name, test in tests:
    test()
    print("ok", name)
print(f"{len(tests)} of {len(tests)} hold")
server.stop(0)

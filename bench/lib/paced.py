"""A steady load whose latencies are taken one by one. As a program it is that load, on a core that it does not share with the gateway.

Requests are due at even distances, and a latency is the time from when one was due to the last byte of its answer: what waits because
the gateway stands still counts as long as it waits.
"""

import array
import collections
import ctypes
import gc
import json
import os
import pathlib
import select
import signal
import socket
import sys
import time

PR_SET_TIMERSLACK = 29
MILLISECOND = 1_000_000


class Paced:
    """Starts it. `took` ends it, and gives what it saw."""

    def __init__(self, bench, port, path, headers=None, rate=1000, connections=32):
        from processes import Process  # not needed by the program

        fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"127.0.0.1:{port}", **(headers or {})}.items())
        self.file = bench.home / f"paced-{time.monotonic_ns()}"
        request = f"GET {path} HTTP/1.1\r\n{fields}\r\n"
        job = json.dumps({"port": port, "request": request, "rate": rate, "connections": connections, "file": str(self.file)})
        self.process = Process("paced", [sys.executable, "-B", __file__, job], bench.load_core, bench.home)
        deadline = time.monotonic() + 20
        while not self.file.exists():
            if not self.process.alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the steady load did not start: {self.process.last_words()}")
            time.sleep(0.01)
        time.sleep(0.5)  # its first requests open what is kept alive after that

    def took(self):
        """(when it was due, nanoseconds) of all requests, in order."""
        self.process.signal(signal.SIGTERM)
        self.process.popen.wait(20)
        numbers = array.array("q")
        numbers.frombytes(self.file.read_bytes())
        self.file.unlink()
        pairs = list(zip(numbers[::2], numbers[1::2]))
        failed = sum(1 for _, took in pairs if took < 0)
        if failed or not pairs:
            raise RuntimeError(f"{failed} of {len(pairs)} requests failed: {self.process.last_words()}")
        return pairs


def within(pairs, windows):
    """For each window, (from, to) by time.monotonic_ns, its latencies in milliseconds."""
    return [[took / MILLISECOND for due, took in pairs if begin <= due < end] for begin, end in windows]


def at(share, values):
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Load:
    def __init__(self, port, request, rate, connections, body):
        self.address, self.request, self.distance, self.body = ("127.0.0.1", port), request.encode(), 1_000_000_000 // rate, body
        self.free, self.busy, self.out = collections.deque(self.open() for _ in range(connections)), {}, array.array("q")

    def open(self):
        stream = socket.create_connection(self.address, timeout=10)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def run(self, stop):
        due = time.monotonic_ns()
        while not stop or self.busy:
            now = time.monotonic_ns()
            while due <= now and self.free and not stop:
                stream = self.free.popleft()
                stream.sendall(self.request)
                self.busy[stream] = (due, b"")
                due += self.distance
            pause = max(0, due - time.monotonic_ns()) / 1e9 if self.free and not stop else 1
            for stream in select.select(self.busy, (), (), pause)[0]:
                self.read(stream)

    def read(self, stream):
        due, answer = self.busy.pop(stream)
        try:
            piece = stream.recv(65536)
        except OSError:
            piece = b""
        answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        if piece and len(body) < self.body and answer.startswith(b"HTTP/1.1 200 "[:len(answer)]):
            self.busy[stream] = (due, answer)
            return
        good = answer.startswith(b"HTTP/1.1 200 ") and len(body) == self.body
        self.out.extend((due, time.monotonic_ns() - due if good else -1))
        if not good:
            print(f"answered by {head.splitlines()[:1] or 'an end'}", flush=True)
        if not good or b"onnection: close" in head:
            stream.close()
            stream = self.open()
        self.free.append(stream)


def main():
    from load import BODY

    job, stop = json.loads(sys.argv[1]), []
    # Called when it is due, not when it suits the kernel or the collector, and before what shares the core.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    gc.disable()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        pass
    load = Load(job["port"], job["request"], job["rate"], job["connections"], BODY)
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    pathlib.Path(job["file"]).touch()
    load.run(stop)
    pathlib.Path(job["file"]).write_bytes(load.out.tobytes())


if __name__ == "__main__":
    main()

"""Requests to a proxy: single ones that are looked at, many that are counted, and connections that stay open."""

import http.client
import json
import socket
import subprocess
import time

CONNECTIONS = 64
IDLE = 1000
BODY = 1024


class Wrong(Exception):
    """An answer that was not the one that has to come: what is measured then is no figure."""


def ask(port, path, headers=None):
    """One request: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def post(port, path, body, headers=None):
    """One request with a JSON body: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def until_answers(process, port, path, seconds=30):
    """Waits until a GET is answered by a 200."""
    deadline, last = time.monotonic() + seconds, "nothing"
    while time.monotonic() < deadline:
        if not process.alive():
            raise Wrong(f"it ended at its start: {process.last_words()}")
        try:
            last, _ = ask(port, path)
            if last == 200:
                return
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.05)
    raise Wrong(f"no 200 within {seconds} s, but {last}: {process.last_words()}")


def expect(port, path, headers, status, what):
    got, body = ask(port, path, headers)
    if got not in status:
        raise Wrong(f"{what}: {got} instead of {' or '.join(map(str, status))}")
    if got == 200 and len(body) != BODY and not path.endswith("/echo"):
        raise Wrong(f"{what}: {len(body)} bytes instead of {BODY}")
    return body


class Wrk:
    """wrk, on one core."""

    def __init__(self, program, script, core, environment):
        self.command = ["taskset", "-c", str(core), str(program), "-t1", f"-c{CONNECTIONS}", "--timeout", "10s", "-s", str(script)]
        self.environment = environment

    def run(self, port, path, seconds, headers=None, refused=False, pool=None):
        """Its figures, where every answer was as it has to be."""
        figures = self.figures(port, path, seconds, headers, pool)
        requests, bad = figures["requests"], figures["above_399"]
        if refused and bad != requests:
            raise Wrong(f"{requests - bad} of {requests} were not refused")
        if not refused and (bad or figures["bytes"] < requests * BODY):
            raise Wrong(f"of {requests} answers {bad} were refusals, and all had {figures['bytes']} bytes")
        return figures

    def figures(self, port, path, seconds, headers=None, pool=None):
        """Its figures, where every request was answered, by whatever."""
        fields = [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
        command = [*self.command, f"-d{seconds}s", *fields, f"http://127.0.0.1:{port}{path}", *(["--", str(pool)] if pool else [])]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=seconds + 60, check=False)
        line = next((line for line in done.stdout.splitlines() if line.startswith("JSON ")), None)
        if done.returncode != 0 or line is None:
            raise Wrong(f"wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
        figures = json.loads(line[5:])
        requests = figures["requests"]
        if requests == 0:
            raise Wrong("no request was answered")
        if figures["failed"]:
            raise Wrong(f"{figures['failed']} requests of {requests} failed on their connection")
        if figures["exhausted"]:
            raise Wrong("it went through all tokens, so that some were seen before")
        figures["rate"] = requests / (figures["microseconds"] / 1e6)
        return figures


def hold_idle(port, path, headers, count=IDLE):
    """Opens connections, uses each once, and returns them open."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"127.0.0.1:{port}", **headers}.items())
    held = []
    try:
        for _ in range(count):
            stream = socket.create_connection(("127.0.0.1", port), timeout=10)
            held.append(stream)
            stream.sendall(f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode())
            answer = b""
            while len(answer.partition(b"\r\n\r\n")[2]) < BODY:
                piece = stream.recv(65536)
                if not piece:
                    raise Wrong(f"connection {len(held)} of {count} was closed")
                answer += piece
    except OSError as error:
        release(held)
        raise Wrong(f"connection {len(held)} of {count}: {error}") from error
    except Wrong:
        release(held)
        raise
    return held


def release(held):
    for stream in held:
        stream.close()

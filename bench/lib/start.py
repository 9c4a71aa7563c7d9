"""Starts, and the size of the binary."""

import http.client
import shutil
import subprocess
import time

import load
from gateway import Gateway
from load import Wrong
from machine import MEBIBYTE
from verdict import Part, Row, Taken, below, spread


def until(gateway, port, path, headers=None, status=200, never=None, step=0.001, seconds=60):
    """Waits for an answer by `status`; `never` must not come before it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            got, _ = load.ask(port, path, headers)
            if got == status:
                return time.monotonic()
            if got == never:
                raise Wrong(f"{path} was answered by {got} before it was by {status}")
        except (OSError, http.client.HTTPException):
            pass
        if not gateway.process.alive():
            raise Wrong(f"it ended: {gateway.process.last_words()}")
        time.sleep(step)
    raise Wrong(f"{path} was not answered by {status} within {seconds} s")


def started(gateway):
    """Starts it; milliseconds from the start of the process until it is ready, and until it proxied a call."""
    began = time.monotonic()
    gateway.launch()
    ready = until(gateway, gateway.admin, "/readyz")
    answered = until(gateway, gateway.port, "/plain/1k")
    return (ready - began) * 1000, (answered - began) * 1000


def take(bench, sizes):
    gateway = Gateway(bench, "start")
    gateway.routes("es256")
    gateway.start()
    gateway.add_user()
    gateway.login()
    gateway.end()
    ready, answered, spent = [], [], []
    for _ in range(sizes.starts):
        for values, value in zip((ready, answered), started(gateway)):
            values.append(value)
        spent.append(gateway.process.cpu() * 1000)
        gateway.end()
    stripped = bench.home / "stripped"
    shutil.copy(bench.portcullis, stripped)
    subprocess.run(["strip", stripped], check=True)
    size = stripped.stat().st_size / MEBIBYTE
    stripped.unlink()
    return Taken([
        Row("start to first proxied answer", "< 100 ms", f"{spread(answered)} of {len(answered)}", below(100, answered)),
        Row("binary, stripped", "< 30 MiB", f"{size:.1f} MiB", size < 30),
    ], [f"until `/readyz` answers 200: {spread(ready)}", f"CPU time until the answer: {spread(spent)}"])


PART = Part("Start, and the binary", take, """
With the keys and the database of a gateway that ran before, one user and one session in it. From before the process is made until an
answer is read, asked every millisecond. The binary is a copy of what was measured, after `strip`.
""")

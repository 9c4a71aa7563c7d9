"""Revocations: the memory they take, and how soon a new replica knows them."""

import socket
import time

import load
from gateway import Gateway
from load import Wrong
from machine import MEBIBYTE
from peers import free_port
from processes import Process
from rows import Rows
from start import until
from verdict import Part, Row, Taken

PATH = "/es256/1k"


def logout(gateway, token):
    status, _ = load.post(gateway.port, "/auth/logout", "{}", {"Authorization": f"Bearer {token}"})
    if status != 204:
        raise Wrong(f"the logout was answered by {status}")


def prepared(bench, sizes, name, redis):
    """A gateway that has ended, whose store holds one real revocation; a token that is revoked and one that lives; its memory without."""
    gateway = Gateway(bench, name, f'[redis]\nurl = "redis://127.0.0.1:{redis}/0"\n' if redis else "")
    gateway.routes("es256")
    if redis:
        gateway.command(["signing-key", "rotate"])
    gateway.start()
    gateway.add_user()
    dead, alive = ({"Authorization": f"Bearer {gateway.login()['access_token']}"} for _ in range(2))
    logout(gateway, dead["Authorization"].split()[1])
    gateway.end()
    idle = held(gateway, dead, alive, sizes)[0]
    gateway.end()
    return gateway, dead, alive, idle


def held(gateway, dead, alive, sizes):
    """Starts it: bytes in RAM when all is quiet; seconds until it is ready, until it refuses what is revoked, and of CPU time so far."""
    began = time.monotonic()
    gateway.launch()
    refused = until(gateway, gateway.port, PATH, dead, 401, never=200, step=0.005)
    ready = until(gateway, gateway.admin, "/readyz")
    spent = gateway.process.cpu()
    load.expect(gateway.port, PATH, alive, [200], "a token that lives")
    time.sleep(sizes.settle)
    return gateway.process.rss(), ready - began, refused - began, spent


def alone(bench, sizes):
    gateway, dead, alive, idle = prepared(bench, sizes, "revoked", None)
    Rows(gateway).revoked(sizes.revoked)
    full, ready, refused, spent = held(gateway, dead, alive, sizes)
    entries = metric(gateway, "portcullis_revocation_entries")
    if entries != sizes.revoked + 1:
        raise Wrong(f"it holds {entries:.0f} revocations instead of {sizes.revoked + 1}")
    peak = gateway.process.peak()
    logged = said(gateway)
    gateway.end()
    each = (full - idle) / sizes.revoked
    return Taken([
        Row(f"memory a revocation, of {sizes.revoked:,}", "< 64 bytes", f"{each:.0f} bytes", each < 64),
        Row("a new replica holds them, SQLite alone", "< 3 s", f"ready after {ready:.2f} s, refuses after {refused:.2f} s", max(ready, refused) < 3),
    ], [
        f"SQLite alone: {idle / MEBIBYTE:.1f} MiB with one, {full / MEBIBYTE:.1f} MiB with all, "
        f"{peak / MEBIBYTE:.1f} MiB at most while they were read; {spent:.1f} s of CPU time until ready",
        *logged,
    ])


def with_redis(bench, sizes):
    port, home = free_port(), bench.home / "redis"
    home.mkdir()
    command = [bench.installed.program("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = Process("redis", command, bench.load_core, home, bench.installed.environment())
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)):
        if not redis.alive() or time.monotonic() > deadline:
            raise Wrong(f"Redis did not start: {redis.last_words()}")
        time.sleep(0.05)
    gateway, dead, alive, idle = prepared(bench, sizes, "revoked-redis", port)
    Rows(gateway).revoked(sizes.revoked)
    first, first_ready, first_refused, _ = held(gateway, dead, alive, sizes)
    asked(port, "FLUSHALL")  # so that the first replica publishes all that it holds, in its own form
    filled = until_filled(port, sizes.revoked)
    replica = gateway.replica()
    full, ready, refused, spent = held(replica, dead, alive, sizes)
    peak, logged = replica.process.peak(), said(replica)
    replica.end()
    gateway.end()
    each = (full - idle) / sizes.revoked
    return Taken([
        Row("a new replica holds them, with Redis and another replica", "< 3 s",
            f"ready after {ready:.2f} s, refuses after {refused:.2f} s", max(ready, refused) < 3),
    ], [
        f"the first replica, whose Redis holds one: ready after {first_ready:.2f} s, refuses after {first_refused:.2f} s, {first / MEBIBYTE:.1f} MiB; "
        f"emptied then, Redis got {filled:,} messages from it",
        f"the second: {full / MEBIBYTE:.1f} MiB, {each:.0f} bytes each, {peak / MEBIBYTE:.1f} MiB at most; {spent:.1f} s of CPU time until ready",
        *logged,
    ])


def asked(port, command):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall(f"{command}\r\n".encode())
        return stream.recv(100)


def until_filled(port, count, seconds=20):
    """How many messages the stream has, once they are all there or no more came for so long."""
    deadline, last = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        length = int(asked(port, "XLEN portcullis:revocations")[1:])
        if length >= count:
            return length
        if length > last:
            deadline, last = time.monotonic() + seconds, length
        time.sleep(0.5)
    return last


def metric(gateway, name):
    _, text = load.ask(gateway.admin, "/metrics")
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def said(gateway):
    """What its log complains of."""
    log = gateway.process.log.read_text(errors="replace").splitlines()
    lines = {line.split(" ", 1)[1] for line in log if " WARN " in line or " ERROR " in line}
    return [f"its log: `{line[:160]}`" for line in sorted(lines)[:5]]


def take(bench, sizes):
    results = [alone(bench, sizes), with_redis(bench, sizes)]
    return Taken([row for result in results for row in result.rows], [line for result in results for line in result.lines])


PART = Part("Revocations", take, """
Into the store of a gateway that stands still come copies of the row that a logout of its own wrote, with the id of a session each and the
log's counter set behind them; the real one is the last. Memory is resident memory after it has been quiet, less that of the same gateway
with one revocation. A new replica is a process that starts on that store: the time until `/readyz` answers 200, and until a call with the
token of the real logout, asked every few milliseconds, is a 401; before that it must not be a 200, and a token that was not revoked is a
200 after it. With Redis, a first replica runs, and has published all to a Redis that had lost everything, before the second starts.
""")

"""A flood of logins: what proxied calls notice, what memory it takes, how many are served."""

import statistics
import threading
import time

from gateway import Gateway
from load import Wrong
from machine import MEBIBYTE
from paced import Paced, at, within
from verdict import Part, Row, Taken, ratio

CLIENTS = 16
RATE = 1000
# Of the defaults, on the one core that the gateway has.
SLOTS, MEMORY, QUEUE = 1, 64, 64
SLACK = 8
NANO = 1_000_000_000
PATIENT = '[login]\nrate_limit = "100000/1s"\n'  # the logins are to be hashed, not counted away


class Flood:
    """So many clients that log in again as soon as they are answered."""

    def __init__(self, gateway):
        self.gateway, self.stop, self.ends, self.failed = gateway, threading.Event(), [], []
        self.clients = [threading.Thread(target=self.log_in) for _ in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def log_in(self):
        while not self.stop.is_set():
            try:
                self.gateway.login()
                self.ends.append(time.monotonic_ns())
            except Exception as error:  # noqa: BLE001 - told by whoever ends it
                self.failed.append(error)
                return

    def end(self):
        self.stop.set()
        for client in self.clients:
            client.join()
        if self.failed:
            raise Wrong(f"{len(self.failed)} of {CLIENTS} clients failed, the first with: {self.failed[0]}")
        return self.ends


def window(seconds):
    begin = time.monotonic_ns()
    time.sleep(seconds)
    return begin, time.monotonic_ns()


def told(name, values):
    flat = [value for window in values for value in window]
    return (f"{name}: p50 {at(0.5, flat):.2f} ms, p99 {at(0.99, flat):.2f} ms, p99.9 {at(0.999, flat):.2f} ms, max {max(flat):.2f} ms "
            f"of {len(flat):,} calls")


def take(bench, sizes):
    gateway = Gateway(bench, "flood", PATIENT)
    gateway.routes("es256")
    gateway.start()
    gateway.add_user()
    bearer = {"Authorization": f"Bearer {gateway.login()['access_token']}"}
    gateway.end()
    process = gateway.start()
    time.sleep(1)
    before = process.rss()
    process.peak(anew=True)
    alone = []
    for number in range(6):
        began = time.monotonic()
        gateway.login()
        if number:  # the first takes the memory
            alone.append(time.monotonic() - began)
    traffic = Paced(bench, gateway.port, "/es256/1k", bearer, RATE)
    quiet, busy, ends = [], [], []
    for _ in range(sizes.windows):
        quiet.append(window(sizes.window))
        flood = Flood(gateway)
        time.sleep(1)  # until all of them wait
        busy.append(window(sizes.window))
        ends += flood.end()
    pairs = traffic.took()
    without, during = within(pairs, quiet), within(pairs, busy)
    times = statistics.median(at(0.99, more) / at(0.99, less) for more, less in zip(during, without))
    floor = Paced(bench, bench.upstream, "/plain/1k", rate=RATE)
    straight = window(min(5, sizes.window))
    straight = within(floor.took(), [straight])
    served = sum(begin <= end < to for end in ends for begin, to in busy) / sum(to - begin for begin, to in busy) * NANO
    able = 1 / statistics.median(alone)
    grown, bound = process.peak() - before, SLOTS * MEMORY
    p99 = [at(0.99, [value for values in windows for value in values]) for windows in (during, without)]
    return Taken([
        Row(f"p99 of proxied calls while {CLIENTS} clients log in", "≤ 2× of idle",
            f"{ratio(times)}: {p99[0]:.2f} ms, idle {p99[1]:.2f} ms", times <= 2),
        Row("memory of a login flood, above idle", f"{SLOTS} × {MEMORY} MiB", f"{grown / MEBIBYTE:.1f} MiB at most",
            grown <= (bound + SLACK) * MEBIBYTE),
        Row("logins served in the flood, of what the core can hash alone", "all", f"{served:.1f}/s of {able:.1f}/s, {served / able:.0%}",
            served >= 0.9 * able),
    ], [told("in the flood", during), told("idle", without), told("straight to the backend, what client and machine add", straight),
        f"a login alone: {statistics.median(alone) * 1000:.0f} ms"])


PART = Part("A flood of logins", take, f"""
{CLIENTS} clients log in with the right password at the default cost (64 MiB), again as soon as they are answered; the rate limit is lifted so that
all are hashed. The gateway has one core, so one password is checked at a time (`login.concurrency`), on the core that serves traffic, and
{QUEUE} may wait. {RATE:,} calls a second with a bearer token go on over 32 connections, evenly spaced, each latency from when the call was due, in
windows without and with the flood, in turn; the ratio is the median over the pairs. Memory is the peak of resident memory less what it
was after the start, *met* with {SLACK} MiB for connections and store. What the core can hash alone is one login after another without any
other load; *met* from 90 %, since the calls need their share of the core.
""")

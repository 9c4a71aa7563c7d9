"""Reloads: how long one takes, and what traffic notices of it."""

import signal
import statistics
import time

from load import Wrong
from paced import Paced, at, within
from scale import with_routes
from start import until
from verdict import Part, Row, Taken, below, spread

DONE = b"the configuration was reloaded"
RATE = 2000
WINDOW, AFTER = 0.6, 0.2
NANO = 1_000_000_000


class Reloads:
    """Each adds a route, so that there is something to see."""

    def __init__(self, bench, gateway):
        self.bench, self.gateway, self.number = bench, gateway, 0

    def begin(self):
        """Says when it was told to, and where its log ends then."""
        self.number += 1
        file = self.gateway.home / "routes/added.toml"
        file.write_text(
            f'version = 1\n[[route]]\nname = "added"\npath = "/added/{self.number}"\nauth = "none"\n'
            f'backend = "http://127.0.0.1:{self.bench.upstream}"\n'
        )
        place = self.gateway.process.log.stat().st_size
        began = time.monotonic()
        self.gateway.process.signal(signal.SIGHUP)
        return began, place

    def logged(self, place, seconds=20):
        """When the log said that it was done."""
        deadline = time.monotonic() + seconds
        with self.gateway.process.log.open("rb") as log:
            log.seek(place)
            seen = b""
            while time.monotonic() < deadline:
                seen = seen[-len(DONE):] + log.read()
                if DONE in seen:
                    return time.monotonic()
                time.sleep(0.001)
        raise Wrong(f"no reload within {seconds} s: {self.gateway.process.last_words()}")

    def answers(self):
        return until(self.gateway, self.gateway.port, f"/added/{self.number}")


def waves(values):
    """Of windows, each a list of latencies."""
    flat, most = [value for window in values for value in window], [max(window) for window in values]
    return {
        "p50": at(0.5, flat), "p99": at(0.99, flat), "p999": at(0.999, flat), "max": max(flat), "median max": statistics.median(most),
        "above": sum(value > 1 for value in flat), "count": len(flat),
    }


def told(name, figures):
    return (f"{name}: p50 {figures['p50']:.2f} ms, p99 {figures['p99']:.2f} ms, p99.9 {figures['p999']:.2f} ms, max {figures['max']:.2f} ms; "
            f"the slowest of a window, median: {figures['median max']:.2f} ms; over 1 ms: {figures['above']} of {figures['count']:,}")


def take(bench, sizes):
    count, hosts = sizes.routes[-1]
    gateway, _ = with_routes(bench, "reloads", count, hosts)
    gateway.start()
    reloads = Reloads(bench, gateway)
    alone, new = [], []
    for _ in range(max(3, sizes.reloads // 2)):
        began, place = reloads.begin()
        new.append((reloads.answers() - began) * 1000)
        alone.append((reloads.logged(place) - began) * 1000)
    traffic = Paced(bench, gateway.port, "/plain/1k", rate=RATE)
    quiet, busy, took = [], [], []
    for _ in range(sizes.reloads):
        began, place = reloads.begin()
        done = reloads.logged(place)
        took.append((done - began) * 1000)
        length = max(WINDOW, done - began + AFTER)
        time.sleep(max(0.0, began + length - time.monotonic()))
        busy.append((int(began * NANO), int((began + length) * NANO)))
        time.sleep(AFTER)
        begin = time.monotonic_ns()
        time.sleep(length)
        quiet.append((begin, begin + int(length * NANO)))
    pairs = traffic.took()
    floor, begin = Paced(bench, bench.upstream, "/plain/1k", rate=RATE), time.monotonic_ns()
    windows = [(begin + int(number * WINDOW * NANO), begin + int((number + 1) * WINDOW * NANO)) for number in range(min(10, sizes.reloads))]
    time.sleep(WINDOW * len(windows))
    direct = within(floor.took(), windows)
    without, during, straight = (waves(values) for values in (within(pairs, quiet), within(pairs, busy), direct))
    more = during["median max"] - without["median max"]
    return Taken([
        Row(f"reload with {count:,} routes, until the new one answers", "< 200 ms", spread(new), below(200, new)),
        Row("the same under load, until the log says so", "< 200 ms", spread(took), below(200, took)),
        Row(f"slowest of {RATE:,} calls a second in a window with a reload, and in one without", "no stall over 1 ms",
            f"median {during['median max']:.2f} ms and {without['median max']:.2f} ms; "
            f"of all {during['max']:.2f} ms and {without['max']:.2f} ms", more < 1),
    ], [
        told("with a reload", during), told("without", without), told("straight to the backend, what client and machine add", straight),
        f"without load until the log says so: {spread(alone)}",
    ])


PART = Part("Reloads", take, f"""
SIGHUP after one route was added to all those of *Many routes*. First without load, asked for the new route every millisecond. Then under
{RATE:,} calls a second over 32 connections, evenly spaced, each latency from when the call was due: windows with a reload at their
beginning that end {AFTER} s after it, or after {WINDOW} s, and after each one as long without. The gateway has one core for all that it
does, the reload among it. *met* is whether the slowest call of a window is, at the median of the windows, less than 1 ms slower with a
reload than without: a machine by itself has calls that take longer than 1 ms.
""")

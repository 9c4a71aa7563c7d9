"""A full store: what a call costs beside sessions and API keys of many others."""

import http.client
import statistics
import time

import load
from gateway import Gateway
from load import Wrong
from machine import MEBIBYTE
from rows import Rows
from verdict import Part, Row, Taken, ratio


def prepared(bench, name, sizes, full):
    """A gateway, its bearer token and API key, and keys that nobody has used yet."""
    gateway = Gateway(bench, name)
    gateway.routes("es256")
    gateway.start()
    gateway.add_user()
    token, key = gateway.login()["access_token"], gateway.create_key()
    gateway.end()
    rows = Rows(gateway)
    fresh = rows.keys(sizes.first_calls)
    if full:
        rows.sessions(sizes.stored)
        rows.keys(sizes.stored)
    gateway.start()
    return gateway, {"a bearer token": {"Authorization": f"Bearer {token}"}, "an API key": {"X-API-Key": key}}, fresh


def first_calls(gateway, keys):
    """Milliseconds that the first call of each key takes, over one connection."""
    took, connection = [], http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    for key in keys:
        began = time.perf_counter()
        connection.request("GET", "/es256/1k", headers={"X-API-Key": key})
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise Wrong(f"a key of the store was answered by {answer.status}")
    connection.close()
    return statistics.median(took)


def take(bench, sizes):
    both = {full: prepared(bench, f"stored-{full}", sizes, full) for full in (False, True)}
    spent = {}
    for number in range(sizes.rounds + 1):
        for work in both[False][1]:
            for full, (gateway, credentials, _) in both.items():
                load.expect(gateway.port, "/es256/1k", credentials[work], [200], work)
                gateway.process.forget_log()
                before = gateway.process.cpu()
                figures = bench.wrk.run(gateway.port, "/es256/1k", sizes.seconds if number else 1, credentials[work])
                if number:  # the first is a warm-up
                    spent.setdefault((work, full), []).append((gateway.process.cpu() - before) * 1e6 / figures["requests"])
    first = {full: first_calls(gateway, keys) for full, (gateway, _, keys) in both.items()}
    rows, lines = [], []
    for work in both[False][1]:
        empty, full = spent[work, False], spent[work, True]
        times = statistics.median(more / less for more, less in zip(full, empty))
        rows.append(Row(f"CPU time of a call with {work}, beside {sizes.stored:,} sessions and as many keys, to without", "no change",
                        ratio(times), round(times, 2) <= 1.05))
        lines.append(f"{work}: {statistics.median(full):.1f} µs a call with them ({min(full):.1f}–{max(full):.1f}), "
                     f"{statistics.median(empty):.1f} µs without ({min(empty):.1f}–{max(empty):.1f})")
    lines.append(f"the first call of a key, which asks the store: {first[True]:.2f} ms with them, {first[False]:.2f} ms without, "
                 f"median of {sizes.first_calls}")
    memory = [gateway.process.rss() / MEBIBYTE for gateway, _, _ in both.values()]
    lines.append(f"memory after all that: {memory[1]:.1f} MiB with them, {memory[0]:.1f} MiB without")
    return Taken(rows, lines)


PART = Part("A full store", take, """
Two gateways on SQLite; into the store of one come copies of the session, its refresh token and the API key that the gateway wrote
itself, each with an id and a hash of its own. Both run at once and are measured in turn, in rounds; the ratio is the median over the
rounds, *met* up to 1.05.
""")

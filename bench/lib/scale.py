"""Many routes: what a call costs, and how long the start takes."""

import random
import statistics
import time

import load
from gateway import Gateway
from load import Wrong
from machine import MEBIBYTE
from start import started
from verdict import Part, Row, Taken, below, ratio, spread

# Of each host: the pattern, and a path that it matches.
SHAPES = [
    ("/api/items/search", "/api/items/search"), ("/api/items/{id}", "/api/items/4711"),
    ("/api/items/{id}/parts/{part}", "/api/items/4711/parts/12"), ("/api/orders/**", "/api/orders/2026/11/9"),
    ("/api/orders/{id}/lines", "/api/orders/815/lines"), ("/static/**", "/static/css/site.css"),
    ("/reports/{year}/{month}", "/reports/2026/11"), ("/admin/users/**", "/admin/users/7/keys"), ("/admin/settings", "/admin/settings"),
    ("/rooms/{room}", "/rooms/lobby"),
]
HOSTS_A_FILE = 10


def host(number):
    return f"h{number}.bench.test"


def with_routes(bench, name, count, hosts):
    """A gateway with so many routes on so many hosts, and one of no host for the start; and the calls that meet all of them, as a file."""
    if count != hosts * len(SHAPES):
        raise Wrong(f"{count} routes are not {len(SHAPES)} for each of {hosts} hosts")
    gateway = Gateway(bench, name)
    head = f'version = 1\n[defaults]\nbackend = "http://127.0.0.1:{bench.upstream}"\nauth = "none"\n'
    (gateway.home / "routes/plain.toml").write_text(f'{head}[[route]]\nname = "plain"\npath = "/plain/**"\n')
    for first in range(0, hosts, HOSTS_A_FILE):
        entries = [
            f'[[route]]\nname = "h{number}-{shape}"\nhosts = ["{host(number)}"]\npath = "{pattern}"\n'
            for number in range(first, min(first + HOSTS_A_FILE, hosts)) for shape, (pattern, _) in enumerate(SHAPES)
        ]
        (gateway.home / f"routes/hosts-{first:04}.toml").write_text(head + "".join(entries))
    calls = [f"{path}\t{host(number)}\t-\n" for number in range(hosts) for _, path in SHAPES]
    random.Random(1).shuffle(calls)  # neighbours of the table do not follow each other; the same order each time
    file = gateway.home / "calls"
    file.write_text("".join(calls))
    return gateway, file


def prove(gateway, hosts):
    """That a host's routes are its own."""
    load.expect(gateway.port, SHAPES[3][1], {"Host": host(hosts - 1)}, [200], "the last host")
    load.expect(gateway.port, SHAPES[3][1], {"Host": host(hosts)}, [404], "a host that has no route")


def take(bench, sizes):
    gateways = []
    for count, hosts in sizes.routes:
        gateway, calls = with_routes(bench, f"routes-{count}", count, hosts)
        gateway.start()
        prove(gateway, hosts)
        gateways.append((count, gateway, calls))
    spent = {count: [] for count, _ in sizes.routes}
    for number in range(sizes.rounds + 1):
        for count, gateway, calls in gateways:
            gateway.process.forget_log()
            before = gateway.process.cpu()
            figures = bench.wrk.run(gateway.port, "/plain/1k", sizes.seconds if number else 1, pool=calls)
            if number:  # the first is a warm-up
                spent[count].append((gateway.process.cpu() - before) * 1e6 / figures["requests"])
    for _, gateway, _ in gateways:
        gateway.end()
    few, many = spent[sizes.routes[0][0]], spent[sizes.routes[-1][0]]
    times = statistics.median(more / less for more, less in zip(many, few))
    added = statistics.median(many) - statistics.median(few)
    lines = [
        f"{count:,} routes: {statistics.median(values):.1f} µs a call ({min(values):.1f}–{max(values):.1f})" for count, values in spent.items()
    ]
    _, largest, _ = gateways[-1]
    ready, answered = [], []
    for _ in range(min(10, sizes.starts)):
        for values, value in zip((ready, answered), started(largest)):
            values.append(value)
        time.sleep(0.2)
        after = f"after a start with all: {largest.process.rss() / MEBIBYTE:.1f} MiB, {largest.process.cpu():.2f} s of CPU time"
        largest.end()
    lines.append(after)
    count, hosts = sizes.routes[-1]
    return Taken([
        Row(f"CPU time a call, {count:,} routes on {hosts:,} hosts to {sizes.routes[0][0]} on one", "flat; the look-up under 1 µs",
            f"{ratio(times)}, {added:+.1f} µs", None),
        Row(f"start with {count:,} routes, until ready", "< 200 ms", spread(ready), below(200, ready)),
        Row(f"start with {count:,} routes, until a call is proxied", "< 200 ms", spread(answered), below(200, answered)),
    ], lines)


PART = Part("Many routes", take, """
Ten routes for each host, with literals, parameters and `**`, open to all, so that nothing is in the figure but proxying; the calls of wrk
meet all routes of all hosts, shuffled. All gateways run at once and are measured in turn, in rounds: CPU time by `/proc`, divided by the
requests; the ratio is the median over the rounds. The difference holds the look-up and what else grows with the routes: each has counters
of its own among the metrics, and more of them fit into no cache. Starts are as in *Start*, with an empty database that exists.
""")

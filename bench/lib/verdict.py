"""TARGETS.md: what was aimed at, what came out, and how it was taken."""

import pathlib
import statistics
import typing

from machine import machine


class Row(typing.NamedTuple):
    """`met`: whether it is, in words where it is in part, or `None` where nothing but a figure is told."""

    target: str
    bound: str
    measured: str
    met: bool | str | None


class Part(typing.NamedTuple):
    """What one file of these measures."""

    title: str
    take: typing.Callable
    how: str


class Taken(typing.NamedTuple):
    """What came out: rows of the table, lines for the part's own section."""

    rows: list
    lines: list


def ratio(value):
    return f"{value:.2f}×"


def spread(values):
    return f"median {statistics.median(values):.0f} ms, max {max(values):.0f} ms"


def below(bound, values):
    """Whether all are, or half of them."""
    return max(values) < bound or statistics.median(values) < bound and "at the median"


def write(path, about, taken, left_out):
    """`taken`: by part, in order."""
    word = {True: "yes", False: "**no**", None: "–"}
    rows = [f"| {row.target} | {row.bound} | {row.measured} | {word.get(row.met, row.met)} |" for _, result in taken for row in result.rows]
    sections = [
        "\n".join([f"## {part.title}", "", part.how.strip(), "", *(f"- {line}" for line in result.lines)]).rstrip() for part, result in taken
    ]
    missing = [f"- {name}: {' '.join(reason.split())}" for name, reason in left_out]
    pathlib.Path(path).write_text(f"""\
# What Portcullis aims at, and where it is

Written by `{about['command']}` on {about['date']}, at commit {about['commit']}{about['sizes']}.
Machine: {machine()}. Gateway: {about['version']}, one worker thread on one core; load and backend share another.

| target | bound | measured | met |
| --- | --- | --- | --- |
{chr(10).join(rows)}

Not taken here: what a look-up costs by itself, in the route table and in the list of revocations. CPU time, throughput and latency
beside other proxies are in [RESULTS.md](RESULTS.md).

{(chr(10) * 2).join(sections)}

## Left out

{chr(10).join(missing) or 'Nothing failed.'}

## Tools

wrk {about['wrk']}, nginx {about['nginx']}. Latencies are taken by `bench/lib/paced.py`.
""")

"""Memory: idle, and with connections that stay open."""

import time

import load
from gateway import Gateway
from machine import MEBIBYTE
from verdict import Part, Row, Taken


def take(bench, sizes):
    gateway = Gateway(bench, "memory")
    gateway.routes("es256")
    gateway.start()
    gateway.add_user()
    bearer = {"Authorization": f"Bearer {gateway.login()['access_token']}"}
    gateway.end()
    rows, lines = [], []
    for count in sizes.connections:
        process = gateway.start()
        time.sleep(min(3, sizes.settle))
        load.expect(gateway.port, "/es256/1k", bearer, [200], "the bearer token")
        idle, files = process.rss(), process.files()
        held = load.hold_idle(gateway.port, "/es256/1k", bearer, count)
        try:
            time.sleep(0.5)
            used = process.rss()
        finally:
            load.release(held)
        each = (used - idle) / count / 1024
        lines.append(f"{count:,} connections: {idle / MEBIBYTE:.1f} MiB before, {used / MEBIBYTE:.1f} MiB with them")
        if not rows:
            lines.insert(0, f"idle: {files / MEBIBYTE:.1f} MiB are pages of files, the binary's, and {(idle - files) / MEBIBYTE:.1f} MiB its own")
            rows.append(Row("memory, idle after the start", "< 25 MiB", f"{idle / MEBIBYTE:.1f} MiB", idle < 25 * MEBIBYTE))
        rows.append(Row(f"memory an idle connection, of {count:,}", "< 10 KiB", f"{each:.1f} KiB", each < 10))
        gateway.end()
    return Taken(rows, lines)


PART = Part("Memory", take, """
Resident memory (`/proc`) of a gateway that was started with keys and a database that exist and that answered two calls; then with
connections that were each used once, for a call with a bearer token, and are all open. Started anew for each count.
""")

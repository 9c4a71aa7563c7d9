"""A soak: whether memory grows under mixed load."""

import random
import statistics
import threading
import time

from gateway import Gateway
from load import Wrong
from machine import MEBIBYTE
from revoked import PATH, logout
from verdict import Part, Row, Taken

TOKENS = 40
CHUNK = 10
EVERY = 2
ALLOWED = 1  # MiB


def calls(gateway, file):
    """Of ten calls six with a bearer token, two with a key, one without anything, one with a wrong token."""
    tokens = [gateway.login()["access_token"] for _ in range(TOKENS)]
    key, lines = gateway.create_key(), []
    for token in tokens:
        lines += [f"Authorization: Bearer {token}"] * 6 + [f"X-API-Key: {key}"] * 2 + ["-", f"Authorization: Bearer {token[:-4]}AAAA"]
    random.Random(1).shuffle(lines)
    file.write_text("".join(f"{PATH}\t127.0.0.1:{gateway.port}\t{line}\n" for line in lines))
    return 0.2  # the share that is refused


class Memory(threading.Thread):
    """(seconds since its start, bytes), every few seconds."""

    def __init__(self, process):
        super().__init__()
        self.process, self.stop, self.samples = process, threading.Event(), []

    def run(self):
        began = time.monotonic()
        while not self.stop.wait(EVERY):
            self.samples.append((time.monotonic() - began, self.process.rss()))


def slope(samples):
    """KiB a minute, by least squares."""
    times, values = zip(*samples)
    middle, mean = statistics.mean(times), statistics.mean(values)
    spread = sum((when - middle) ** 2 for when in times)
    return sum((when - middle) * (value - mean) for when, value in samples) / spread * 60 / 1024 if spread else 0.0


def take(bench, sizes):
    gateway = Gateway(bench, "soak", '[login]\nrate_limit = "100000/1s"\n')
    gateway.routes("es256")
    process = gateway.start()
    gateway.add_user()
    file = gateway.home / "calls"
    share = calls(gateway, file)
    memory = Memory(process)
    memory.start()
    began, requests, logins = time.monotonic(), 0, 0
    try:
        while (left := sizes.soak - (time.monotonic() - began)) > 1:
            figures = bench.wrk.figures(gateway.port, PATH, max(1, int(min(CHUNK, left))), pool=file)
            if abs(figures["above_399"] / figures["requests"] - share) > 0.01:
                raise Wrong(f"of {figures['requests']} answers {figures['above_399']} were refusals, not {share:.0%}")
            requests += figures["requests"]
            process.forget_log()
            logout(gateway, gateway.login()["access_token"])
            logins += 1
    finally:
        memory.stop.set()
        memory.join()
    samples, minute = memory.samples, min(60, sizes.soak / 4)
    last = samples[-1][0]
    first_mean, last_mean = (
        statistics.mean(value for when, value in samples if chosen(when)) / MEBIBYTE
        for chosen in (lambda when: when <= minute + EVERY, lambda when: when >= last - minute)
    )
    later = [sample for sample in samples if sample[0] > minute] or samples
    return Taken([
        Row(f"memory over a soak of {sizes.soak:.0f} s", "no growth",
            f"{first_mean:.1f} MiB in the first {minute:.0f} s, {last_mean:.1f} MiB in the last; {slope(later):+.1f} KiB a minute after the first",
            last_mean - first_mean < ALLOWED),
    ], [f"{requests:,} calls, {TOKENS + logins} logins, {logins} logouts; from {min(value for _, value in samples) / MEBIBYTE:.1f} to "
        f"{max(value for _, value in samples) / MEBIBYTE:.1f} MiB in {len(samples)} samples"])


PART = Part("A soak", take, f"""
wrk without pause: of ten calls six with bearer tokens of {TOKENS} logins, two with an API key, one without a credential, one with a wrong
token; every answer counted. Every {CHUNK} s somebody logs in and out. Resident memory every {EVERY} s, which holds the memory of the last password hash.
*met* is less than {ALLOWED} MiB from the first to the last minute.
""")

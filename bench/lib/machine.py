"""What is measured on: cores, commit, machine."""

import os
import pathlib
import platform
import subprocess

from load import Wrong

MEBIBYTE = 1024 * 1024


def cores():
    """Of the proxies, and of load and backend."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Wrong("two cores are needed: one for the proxy, one for load and backend")

    def physical(core):
        path = pathlib.Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        return path.read_text() if path.exists() else core

    apart = [core for core in allowed if physical(core) != physical(allowed[0])]
    return allowed[0], (apart or allowed[1:])[0]


def commit(root):
    def git(*words):
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if git("status", "--porcelain", "src", "Cargo.lock") else "")


def machine():
    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal")) / MEBIBYTE
    system = next((line.partition("=")[2].strip().strip('"') for line in open("/etc/os-release") if line.startswith("PRETTY_NAME")), "")
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; Linux {platform.release()}, {system}"

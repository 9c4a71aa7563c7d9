"""Processes that are pinned to a core, measured as trees, and ended with this one."""

import ctypes
import os
import pathlib
import resource
import signal
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
FILES = 16384
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

started = []


class Process:
    """A command on one core, in a session of its own: whatever it starts is of that session, and measured and ended with it."""

    def __init__(self, name, command, core, home, environment=None):
        self.name, self.log = name, pathlib.Path(home) / f"{name}.log"

        def prepare():
            os.sched_setaffinity(0, {core})
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [str(word) for word in command], cwd=home, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=prepare,
            )
        started.append(self)

    def _stats(self):
        """The fields of /proc/PID/stat from the third on (proc(5)), of each process of the session."""
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            if int(fields[3]) == self.popen.pid and fields[0] != "Z":
                yield fields

    def cpu(self):
        """Seconds of CPU time, user and system, of all of its processes, those that ended among them."""
        return sum(int(ticks) for fields in self._stats() for ticks in fields[11:15]) / TICKS

    def rss(self):
        """Bytes of memory in RAM, summed over its processes; pages that they share count for each."""
        return sum(int(fields[21]) for fields in self._stats()) * PAGE

    def _status(self, field):
        """Bytes that /proc/PID/status has of the first process."""
        status = pathlib.Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0]) * 1024

    def peak(self, anew=False):
        """The most that the first process had in RAM, since its start or since it was asked for `anew`."""
        if anew:
            pathlib.Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")
        return self._status("VmHWM")

    def files(self):
        """What of its memory in RAM are pages of files, such as its own binary, which can be shared and given back."""
        return self._status("RssFile")

    def alive(self):
        return self.popen.poll() is None

    def forget_log(self):
        """Empties the log, which is appended to."""
        os.truncate(self.log, 0)

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(line[:200] for line in lines[-3:]) or "it said nothing"

    def end(self, patience=5):
        """Asks it to end, and after so many seconds kills what is left."""
        self.signal(signal.SIGTERM)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        self.signal(signal.SIGKILL)
        self.popen.wait()
        if self in started:
            started.remove(self)

    def signal(self, number):
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass


def end_all(but=()):
    """Ends what was started, all at once, but what is to stay."""
    ending = [process for process in started if process not in but]
    for process in ending:
        process.signal(signal.SIGTERM)
    for process in ending:
        process.end()


def allow_many_files():
    """1,000 connections are 1,000 files here and 2,000 in a proxy, which inherits this."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 4096:
        raise RuntimeError(f"this shell allows only {most} open files: 4096 are needed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if most == resource.RLIM_INFINITY else min(FILES, most), most))

"""Programs under valgrind, which counts what a request costs them: instructions of all their threads."""

import collections
import http.client
import pathlib
import re
import subprocess
import sys

from load import Wrong, until_answers
from peers import KEY, NEW, PLAIN, REFUSED, free_port
from processes import Process

BEARER = "bearer"
KINDS = [PLAIN, BEARER, KEY, REFUSED, NEW]
# Until caches are filled and tables have grown.
WARM = 300
SHOWN = 60


def by_function(dump):
    """Each function's own instructions, the most first. callgrind_annotate sums up wrongly what is counted from the middle on."""
    own, function, is_call = collections.Counter(), "", False
    for line in dump.read_text(errors="replace").splitlines():
        if line.startswith("fn="):
            function = line[3:]
        elif line.startswith("calls="):
            is_call = True  # the next line is of what was called
        elif line[:1].isdigit():
            own[function] += 0 if is_call else int(line.split()[1])
            is_call = False
    return own.most_common()


class Counted:
    """The gateway with its ES256 key, one thread, and plain pingora, each under valgrind."""

    def __init__(self, bench, requests):
        self.bench, self.requests = bench, requests

    def start_backend(self):
        self.bench.upstream = free_port()
        process = Process("answers", [sys.executable, pathlib.Path(__file__).with_name("answers.py"), self.bench.upstream], 0, self.bench.home)
        until_answers(process, self.bench.upstream, "/plain/1k")

    def pingora(self):
        """What plain pingora costs."""
        port, home = free_port(), self.bench.home / "pingora"
        home.mkdir()
        command = [self.bench.passthrough, f"127.0.0.1:{port}", f"127.0.0.1:{self.bench.upstream}"]
        process = self._start("pingora", command, home)
        until_answers(process, port, "/plain/1k", 60)
        cost = self._cost(process, home, port, PLAIN)
        process.end()
        return cost

    def start_gateway(self):
        process, self.port = self.bench.gateway("ES256")
        process.end()
        self.home = self.bench.home / "portcullis-ES256"
        self.process = self._start("counted", [self.bench.portcullis, "run"], self.home)
        until_answers(self.process, self.port, "/plain/1k", 120)

    def count(self, kind, profile=False):
        """Instructions a request of this kind; shows where they go, if asked."""
        cost = self._cost(self.process, self.home, self.port, kind)
        if profile:
            for function, instructions in by_function(self._newest(self.home))[:SHOWN]:
                print(f"{instructions / self.requests:10,.0f}  {function[:160]}")
        return cost

    def _start(self, name, command, home):
        # Names of files that callgrind writes are relative to where it runs. Nothing is counted until it is told to.
        options = ["--dump-line=no", "--compress-pos=no", "--compress-strings=no", "--callgrind-out-file=callgrind.out"]
        return Process(name, ["valgrind", "--quiet", "--tool=callgrind", *options, *command], 0, home)

    def _cost(self, process, home, port, kind):
        fields = iter(lambda: {}, None)
        path, same = "/plain/1k", {}
        if kind in (BEARER, KEY, REFUSED):
            path, same = self.bench.request("ES256" if kind == BEARER else kind)
        if kind == NEW:
            path = "/es256/1k"
            pool = home / "pool"
            self.bench.tokens["ES256"].write_pool(pool, WARM + self.requests)
            tokens = pool.read_text().split()
            fields = iter([{"Authorization": f"Bearer {token}"} for token in tokens])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def ask(times):
            for _ in range(times):
                connection.request("GET", path, headers=next(fields) if kind == NEW else same)
                answer = connection.getresponse()
                answer.read()
                if answer.status != (401 if kind == REFUSED else 200):
                    raise Wrong(f"{kind}: {answer.status}")

        ask(WARM)
        self._control(process, "--zero")
        ask(self.requests)
        self._control(process, "--dump")
        connection.close()
        total = re.search(r"^(?:totals|summary): (\d+)", self._newest(home).read_text(), re.MULTILINE)
        if not total:
            raise Wrong(f"{kind}: valgrind wrote no total")
        return int(total[1]) / self.requests

    def _newest(self, home):
        return max(home.glob("callgrind.out.*"), key=lambda path: path.stat().st_mtime)

    def _control(self, process, what):
        self._run(["callgrind_control", what, str(process.popen.pid)])

    def _run(self, command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise Wrong(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
        return done.stdout

"""A gateway in a folder of its own, with its store and its keys."""

import json
import subprocess

import load
from load import Wrong
from peers import free_port, write
from processes import Process

PASSWORD = "correct horse battery staple"
USER = "bench"
ADDRESSES = ("PORTCULLIS__SERVER__LISTEN", "PORTCULLIS__SERVER__ADMIN_LISTEN")


class Gateway:
    """`values` are those of peers/portcullis.toml, `more` is what stands behind it."""

    def __init__(self, bench, name, more="", **values):
        self.bench, self.home, self.environment = bench, bench.home / name, None
        self.port, self.admin, self.process = free_port(), free_port(), None
        (self.home / "routes").mkdir(parents=True)
        path = write(self.home, "gateway.toml", "portcullis.toml", PORT=self.port, ADMIN=self.admin, **{"ALGORITHM": "ES256", "SECRET": "", **values})
        path.write_text(path.read_text() + more)

    def routes(self, path):
        """Those that peers/portcullis_routes.toml has: one open, one below `path` that asks for a scope."""
        write(self.home / "routes", "bench.toml", "portcullis_routes.toml", UPSTREAM=self.bench.upstream, PATH=path)

    def replica(self):
        """Another on the same folder."""
        other = object.__new__(Gateway)
        other.bench, other.home, other.process = self.bench, self.home, None
        other.port, other.admin = free_port(), free_port()
        other.environment = dict(zip(ADDRESSES, (f'["127.0.0.1:{other.port}"]', f"127.0.0.1:{other.admin}")))
        return other

    def launch(self):
        """Starts it, and waits for nothing."""
        self.process = Process("portcullis", [self.bench.portcullis, "run"], self.bench.proxy_core, self.home, self.environment)

    def start(self):
        self.launch()
        load.until_answers(self.process, self.admin, "/readyz", 60)
        load.until_answers(self.process, self.port, "/plain/1k")
        return self.process

    def end(self):
        self.process.end()

    def command(self, words, text=""):
        done = subprocess.run([self.bench.portcullis, *words], cwd=self.home, input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Wrong(f"portcullis {' '.join(words[:2])}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def add_user(self):
        self.command(["user", "add", USER, "--scopes", "items:read", "--password-stdin"], PASSWORD)

    def login(self):
        """What a login is answered with."""
        status, answer = load.post(self.port, "/auth/login", json.dumps({"username": USER, "password": PASSWORD}))
        if status != 200:
            raise Wrong(f"the login was answered by {status}: {answer}")
        return json.loads(answer)

    def create_key(self):
        return self.command(["key", "create", "--owner", USER, "--name", USER, "--scopes", "items:read"]).strip()

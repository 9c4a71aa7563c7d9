"""Rows in the store of a gateway that stands still: copies of one that the gateway itself wrote, each with an id of its own."""

import binascii
import contextlib
import hashlib
import secrets
import sqlite3
import time

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_id():
    """A UUIDv7 of now."""
    number = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def new_key():
    """An API key: its id, and the whole of it."""
    identity = "".join(secrets.choice(LETTERS[:10] + LETTERS[36:]) for _ in range(26))
    body = f"ptc_{identity}_{''.join(secrets.choice(LETTERS) for _ in range(43))}"
    rest, digits = binascii.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = LETTERS[digit] + digits
    return identity, body + digits


class Rows:
    """The store of `gateway`, which must have ended."""

    def __init__(self, gateway):
        self.file = gateway.home / "data/portcullis.db"

    @contextlib.contextmanager
    def opened(self):
        with contextlib.closing(sqlite3.connect(self.file)) as store:
            store.row_factory = sqlite3.Row
            with store:
                yield store

    def copies(self, store, table, changes):
        """A copy of the last row of `table` for each of `changes`."""
        last = store.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()
        names = last.keys()
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        store.executemany(statement, ([change.get(name, last[name]) for name in names] for change in changes))

    def revoked(self, count):
        """So many more revocations, as a logout writes them, before the last, so that who knows that knows them all."""
        with self.opened() as store:
            last, = store.execute("SELECT value FROM counters WHERE name = 'revocations'").fetchone()
            self.copies(store, "revocations", ({"seq": last + number, "id": new_id()} for number in range(1, count + 1)))
            store.execute("UPDATE revocations SET seq = ? WHERE seq = ?", (last + count + 1, last))
            store.execute("UPDATE counters SET value = ? WHERE name = 'revocations'", (last + count + 1,))

    def sessions(self, count):
        """So many more sessions, each with a refresh token."""
        ids = [new_id() for _ in range(count)]
        with self.opened() as store:
            self.copies(store, "sessions", ({"id": identity} for identity in ids))
            self.copies(store, "refresh_tokens", ({"session_id": identity, "hash": secrets.token_bytes(32)} for identity in ids))

    def keys(self, count):
        """So many more API keys, which it gives."""
        keys = [new_key() for _ in range(count)]
        with self.opened() as store:
            changes = ({"id": identity, "hash": hashlib.sha256(key.encode()).digest(), "name": identity} for identity, key in keys)
            self.copies(store, "api_keys", changes)
        return [key for _, key in keys]

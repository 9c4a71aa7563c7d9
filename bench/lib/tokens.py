"""The tokens: the gateway's own, and others that are signed with its keys, since every peer is to check the very same bytes."""

import concurrent.futures
import os
import secrets
import time
import uuid

ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"]
AUDIENCE = "portcullis"
# What all instances of the gateway say they are. Nobody is asked there.
ISSUER = "http://127.0.0.1"
HOUR = 3600


class Tokens:
    """One algorithm's: a token of a login, its claims, and the key that it was signed with."""

    def __init__(self, algorithm, token, private_pem, secret):
        import jwt  # PyPI's, installed by then

        self.algorithm, self.token = algorithm, token
        self.claims = jwt.decode(token, options={"verify_signature": False})
        header = jwt.get_unverified_header(token)
        if header["alg"] != algorithm:
            raise RuntimeError(f"the gateway signed with {header['alg']}, not {algorithm}")
        self.headers = {name: header[name] for name in ("typ", "kid") if name in header}
        self.private, self.secret = private_pem, secret

    def signed(self, **changes):
        import jwt

        claims = {name: value for name, value in {**self.claims, **changes}.items() if value is not None}
        return jwt.encode(claims, self.private or self.secret, self.algorithm, headers=self.headers)

    def bad(self):
        """What has to be refused, by what is wrong with it."""
        now = int(time.time())
        head, payload, signature = self.token.split(".")
        other = "B" if signature[10] == "A" else "A"
        return {
            "a wrong signature": f"{head}.{payload}.{signature[:10]}{other}{signature[11:]}",
            "an exp in the past": self.signed(iat=now - 2 * HOUR, auth_time=now - 2 * HOUR, exp=now - HOUR),
            "an nbf in the future": self.signed(nbf=now + HOUR // 2),
            "another iss": self.signed(iss="https://example.org"),
            "another aud": self.signed(aud="example"),
        }

    def public_pem(self):
        from cryptography.hazmat.primitives import serialization as form

        public = form.load_pem_private_key(self.private.encode(), None).public_key()
        return public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo).decode()

    def jwks(self):
        """As JSON, with which this algorithm's tokens are verified."""
        import json

        import jwt
        from cryptography.hazmat.primitives import serialization as form

        kind = jwt.get_algorithm_by_name(self.algorithm)
        key = kind.to_jwk(form.load_pem_private_key(self.private.encode(), None).public_key() if self.private else self.secret.encode())
        key = {**json.loads(key), "alg": self.algorithm}
        key.pop("key_ops", None)
        if "kid" in self.headers:
            key["kid"] = self.headers["kid"]
        return json.dumps({"keys": [key]})

    def _fresh(self, count):
        from cryptography.hazmat.primitives import serialization as form
        import jwt

        key = form.load_pem_private_key(self.private.encode(), None)
        lines = []
        for _ in range(count):
            claims = {**self.claims, "jti": str(uuid.uuid4())}
            lines.append(jwt.encode(claims, key, self.algorithm, headers=self.headers))
        return "\n".join(lines) + "\n"

    def write_pool(self, path, count):
        """A file of so many valid tokens, no two alike, none ever seen."""
        workers = os.cpu_count() or 1
        each = count // (workers * 4) + 1
        with concurrent.futures.ProcessPoolExecutor(workers) as pool, open(path, "w", encoding="ascii") as file:
            for lines in pool.map(self._fresh, [each] * (workers * 4)):
                file.write(lines)

    def verified_a_second(self):
        """About how many signatures one core of this machine can verify in a second, by OpenSSL: no proxy is much faster."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec

        key = form.load_pem_private_key(self.private.encode(), None)
        signature = key.sign(b"x", ec.ECDSA(hashes.SHA256()))
        public, count, began = key.public_key(), 0, time.perf_counter()
        while time.perf_counter() - began < 0.3:
            public.verify(signature, b"x", ec.ECDSA(hashes.SHA256()))
            count += 1
        return count / (time.perf_counter() - began)


def new_secret():
    return secrets.token_hex(32)

"""Validates the gateway's OpenAPI document, then calls what it describes with whatever its schemas allow and do not allow.

Arguments: the gateway's port, an admin's name and password.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

port, user, password = sys.argv[1:]
base = f"http://127.0.0.1:{port}"
address = f"{base}/auth/openapi.json"
document = json.load(urllib.request.urlopen(address, timeout=20))
OpenAPIV31SpecValidator(document).validate()

# What may end the caller's own session, with ids that it saw: tried last, as the rest would be refused ever after.
ENDS = "logout|password|reset|end_|change_user|delete_user"


def token():
    body = json.dumps({"username": user, "password": password}).encode()
    request = urllib.request.Request(f"{base}/auth/login", body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=20))["access_token"]


def tried(seconds, *more):
    """Runs schemathesis; its checks are no 5xx, no undocumented status, header or content type, bodies by their schema."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    checks += "response_schema_conformance,unsupported_method"
    command = [sys.executable.replace("/python", "/schemathesis"), "run", address, "--url", base, "--checks", checks]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--generation-deterministic"]
    # It would add an API key of its own to the token: two credentials are refused before anything is looked at.
    command += ["--generation-with-security-parameters", "false"]
    command += ["--request-timeout", "20", "--suppress-health-check", "all", "--continue-on-failure", "--no-color", *more]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:  # it leaves notes where it runs
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    print(" ".join(done.stdout.split("SUMMARY")[-1].split()))
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}")
    return time.monotonic() - start


took = tried(300)
access = token()
took += tried(300, "--header", f"Authorization: Bearer {access}", "--exclude-operation-id-regex", ENDS)
me = urllib.request.Request(f"{base}/auth/me", headers={"Authorization": f"Bearer {access}"})
assert urllib.request.urlopen(me, timeout=20).status == 200, "the token died on the way: what came after it was not tried"
took += tried(300, "--header", f"Authorization: Bearer {token()}", "--include-operation-id-regex", ENDS)
print(f"{took:.0f} s, {sum(len(item) for item in document['paths'].values())} operations: the document holds")

"""A client that was made for a service of the FastAPI authentication guides. It prints a line of JSON for each of its calls: what
it relies on in the answer. It knows nothing of a gateway.

Argument: the port. Accounts: admin, alice and vera, with the password of PORTCULLIS_TEST_PASSWORD.
"""

import json
import os
import sys

import httpx

PASSWORD, OTHER = os.environ["PORTCULLIS_TEST_PASSWORD"], "another long pass phrase"
http = httpx.Client(base_url=f"http://127.0.0.1:{sys.argv[1]}", timeout=60)


def call(what, method, path, relies_on=lambda body: None, **more):
    """Makes a call, notes its status and what is relied on of its body, and gives the body."""
    answer = http.request(method, path, **more)
    body = answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else {}
    noted = {"call": what, "status": answer.status_code}
    if answer.status_code < 300:
        noted["body"] = relies_on(body)
    if answer.status_code == 401:
        noted["asks for a bearer"] = "Bearer" in answer.headers.get("www-authenticate", "")
    print(json.dumps(noted))
    return answer, body


def token_shape(body):
    return [sorted(body), body["token_type"].lower(), body["expires_in"], sorted(set(body["scope"].split()) & {"items:read", "items:write"})]


def log_in(what, username, password, **more):
    return call(what, "POST", "/token", token_shape, data={"grant_type": "password", "username": username, "password": password, **more})[1]


def bearer(tokens):
    return {"Authorization": "Bearer " + tokens["access_token"]}


call("health", "GET", "/health", lambda body: body["status"])
call("no credential", "GET", "/items")
log_in("a wrong password", "alice", "wrong")
log_in("an unknown user", "nobody", PASSWORD)
call("no password", "POST", "/token", data={"username": "alice"})
alice = log_in("login by form", "alice", PASSWORD)
call("who am I", "GET", "/users/me", lambda body: [body["username"], body["email"], body["disabled"]], headers=bearer(alice))
call("a scope that is held", "GET", "/items", lambda body: body["for"], headers=bearer(alice))
call("a scope that is not held", "POST", "/items", headers=bearer(alice))
call("a bad token", "GET", "/items", headers={"Authorization": "Bearer " + alice["access_token"][:-4] + "AAAA"})
call("another scheme", "GET", "/items", headers={"Authorization": "Basic YTpi"})

admin = log_in("login of an admin", "admin", PASSWORD)
call("an admin writes", "POST", "/items", lambda body: body["by"], headers=bearer(admin))
narrow = log_in("login for one scope", "admin", PASSWORD, scope="items:read")
call("a narrowed token reads", "GET", "/items", lambda body: body["for"], headers=bearer(narrow))
call("a narrowed token does not write", "POST", "/items", headers=bearer(narrow))

vera = log_in("login of a viewer", "vera", PASSWORD)
call("a viewer has no reports", "GET", "/reports", headers=bearer(vera))
call("a user has reports", "GET", "/reports", lambda body: body["for"], headers=bearer(alice))
call("an admin is a user, too", "GET", "/reports", lambda body: body["for"], headers=bearer(admin))
call("a viewer administers nothing", "GET", "/admin/users", headers=bearer(vera))
names = lambda body: sorted(user["username"] for user in (body if isinstance(body, list) else body["users"]))
call("an admin sees the users", "GET", "/admin/users", names, headers=bearer(admin))

call("optional: a stranger", "GET", "/hello", lambda body: body["hello"])
call("optional: somebody", "GET", "/hello", lambda body: body["hello"], headers=bearer(alice))
call("optional: a bad token", "GET", "/hello", headers={"Authorization": "Bearer x.y.z"})

made, key = call("make an API key", "POST", "/api-keys", lambda body: body["name"], json={"name": "job", "scopes": ["items:read"]}, headers=bearer(alice))
key = key.get("key", "")
call("the key in a header", "GET", "/items", lambda body: body["for"], headers={"X-API-Key": key})
call("the key in the query", "GET", "/items", lambda body: body["for"], params={"api_key": key})
call("the key's scopes bound it", "POST", "/items", headers={"X-API-Key": key})
call("a wrong key", "GET", "/items", headers={"X-API-Key": "wrong"})

fresh = call("refresh", "POST", "/token/refresh", token_shape, json={"refresh_token": alice["refresh_token"]})[1]
call("the new token works", "GET", "/items", lambda body: body["for"], headers=bearer(fresh))
call("a wrong refresh token", "POST", "/token/refresh", json={"refresh_token": "wrong"})
call("no refresh token", "POST", "/token/refresh", json={})
call("logout", "POST", "/logout", headers=bearer(fresh))
call("after logout", "GET", "/items", headers=bearer(fresh))
call("no refresh after logout", "POST", "/token/refresh", json={"refresh_token": fresh["refresh_token"]})

newcomer = {"username": "newcomer", "email": "newcomer@example.com", "password": PASSWORD}
call("register", "POST", "/register", lambda body: body["username"], json=newcomer)
call("a name that is taken", "POST", "/register", json={**newcomer, "email": "other@example.com"})
call("fields are missing", "POST", "/register", json={"username": "half"})
tokens = log_in("login of the newcomer", "newcomer", PASSWORD)
call("a wrong current password", "POST", "/users/me/password", json={"current_password": "wrong", "new_password": OTHER}, headers=bearer(tokens))
call("change the password", "POST", "/users/me/password", json={"current_password": PASSWORD, "new_password": OTHER}, headers=bearer(tokens))
log_in("the old password", "newcomer", PASSWORD)
log_in("the new password", "newcomer", OTHER)

preflight = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
answer, _ = call("a page of the front end", "GET", "/items", headers={"Origin": preflight["Origin"], **bearer(admin)})
print(json.dumps({"call": "it may read the answer", "origin": answer.headers.get("access-control-allow-origin")}))
answer = http.request("OPTIONS", "/items", headers=preflight)
print(json.dumps({"call": "preflight", "passes": answer.status_code in (200, 204), "origin": answer.headers.get("access-control-allow-origin"), "headers": "authorization" in answer.headers.get("access-control-allow-headers", "").lower()}))
answer = http.request("OPTIONS", "/items", headers={**preflight, "Origin": "https://evil.example"})
print(json.dumps({"call": "preflight of a stranger", "origin": answer.headers.get("access-control-allow-origin")}))

_, document = call("OpenAPI", "GET", "/openapi.json")
flow = next(scheme for scheme in document["components"]["securitySchemes"].values() if scheme["type"] == "oauth2")["flows"]["password"]
print(json.dumps({"call": "the scopes in OpenAPI", "scopes": sorted(set(flow["scopes"]) & {"items:read", "items:write"})}))
page = http.get("/docs")
print(json.dumps({"call": "Swagger UI", "status": page.status_code, "is it": "swagger-ui" in page.text.lower()}))

for attempt in range(100):
    answer = http.post("/token", data={"username": "vera", "password": "wrong"})
    if answer.status_code == 429:
        print(json.dumps({"call": "too many logins", "status": 429, "retry": answer.headers["retry-after"].isdigit()}))
        break

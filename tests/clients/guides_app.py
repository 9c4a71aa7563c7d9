"""A service as the FastAPI authentication guides teach it, all of it by hand: what the gateway is to stand in for.

Argument: the port. Accounts: admin, alice and vera, with the password of PORTCULLIS_TEST_PASSWORD. State is in memory.
"""

import os
import secrets
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Annotated

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Security, status
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader, APIKeyQuery, OAuth2PasswordBearer, OAuth2PasswordRequestForm, SecurityScopes
from pwdlib import PasswordHash
from pydantic import BaseModel

SECRET, ALGORITHM = secrets.token_urlsafe(32), "HS256"
SCOPES = {"items:read": "Read items", "items:write": "Write items"}
ROLES = {"admin": {"admin", "user", "viewer"}, "user": {"user", "viewer"}, "viewer": {"viewer"}}
ATTEMPTS_A_MINUTE = 30

hashes = PasswordHash.recommended()
password = hashes.hash(os.environ["PORTCULLIS_TEST_PASSWORD"])
users = {
    name: {"username": name, "email": f"{name}@example.com", "role": role, "scopes": scopes, "hash": password}
    for name, role, scopes in [("admin", "admin", list(SCOPES)), ("alice", "user", ["items:read"]), ("vera", "viewer", [])]
}
refresh_tokens, blacklist, api_keys, attempts = {}, set(), {}, {}

app = FastAPI(title="Items")
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"], allow_methods=["*"], allow_headers=["*"])
bearer = OAuth2PasswordBearer(tokenUrl="token", scopes=SCOPES, auto_error=False)
key_header, key_query = APIKeyHeader(name="X-API-Key", auto_error=False), APIKeyQuery(name="api_key", auto_error=False)


class Refresh(BaseModel):
    refresh_token: str


class Registration(BaseModel):
    username: str
    email: str
    password: str


class Change(BaseModel):
    current_password: str
    new_password: str


class NewKey(BaseModel):
    name: str
    scopes: list[str] = []


def unauthorized(detail, scopes=""):
    value = f'Bearer scope="{scopes}"' if scopes else "Bearer"
    return HTTPException(status.HTTP_401_UNAUTHORIZED, detail, {"WWW-Authenticate": value})


def limited(request: Request):
    now, address = time.monotonic(), request.client.host
    attempts[address] = [at for at in attempts.get(address, []) if at > now - 60] + [now]
    if len(attempts[address]) > ATTEMPTS_A_MINUTE:
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, "Too many attempts", {"Retry-After": "60"})


def tokens(user, scopes):
    expires = timedelta(minutes=15)
    claims = {"sub": user["username"], "scope": " ".join(scopes), "jti": uuid.uuid4().hex}
    access = jwt.encode({**claims, "exp": datetime.now(timezone.utc) + expires}, SECRET, ALGORITHM)
    refresh = secrets.token_urlsafe(32)
    refresh_tokens[refresh] = (user["username"], scopes)
    return {
        "access_token": access,
        "token_type": "bearer",
        "expires_in": int(expires.total_seconds()),
        "refresh_token": refresh,
        "scope": " ".join(scopes),
    }


def claims_of(token):
    try:
        claims = jwt.decode(token, SECRET, algorithms=[ALGORITHM])
    except jwt.InvalidTokenError:
        raise unauthorized("Could not validate credentials")
    if claims["jti"] in blacklist:
        raise unauthorized("Token has been revoked")
    return claims


async def maybe_user(
    asked: SecurityScopes,
    token: Annotated[str | None, Depends(bearer)],
    in_header: Annotated[str | None, Security(key_header)],
    in_query: Annotated[str | None, Security(key_query)],
):
    if token:
        claims = claims_of(token)
        user, scopes = users.get(claims["sub"]), claims["scope"].split()
    elif key := in_header or in_query:
        if key not in api_keys:
            raise unauthorized("Invalid API key")
        name, scopes = api_keys[key]
        user = users.get(name)
    else:
        return None
    if user is None:
        raise unauthorized("Could not validate credentials")
    for scope in asked.scopes:
        if scope not in scopes:
            raise HTTPException(status.HTTP_403_FORBIDDEN, "Not enough permissions")
    return user


async def current_user(asked: SecurityScopes, user: Annotated[dict | None, Depends(maybe_user)]):
    if user is None:
        raise unauthorized("Not authenticated", asked.scope_str)
    return user


def role(name):
    async def has_role(user: Annotated[dict, Depends(current_user)]):
        if name not in ROLES[user["role"]]:
            raise HTTPException(status.HTTP_403_FORBIDDEN, "Not enough permissions")
        return user

    return has_role


def shown(user):
    return {"username": user["username"], "email": user["email"], "disabled": False}


@app.post("/token", dependencies=[Depends(limited)])
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]):
    user = users.get(form.username)
    if user is None or not hashes.verify(form.password, user["hash"]):
        raise unauthorized("Incorrect username or password")
    return tokens(user, [scope for scope in user["scopes"] if not form.scopes or scope in form.scopes])


@app.post("/token/refresh")
async def refresh(body: Refresh):
    if body.refresh_token not in refresh_tokens:
        raise unauthorized("Invalid refresh token")
    name, scopes = refresh_tokens.pop(body.refresh_token)
    return tokens(users[name], scopes)


@app.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(token: Annotated[str | None, Depends(bearer)]):
    if token is None:
        raise unauthorized("Not authenticated")
    claims = claims_of(token)
    blacklist.add(claims["jti"])
    for value in [value for value, (name, _) in refresh_tokens.items() if name == claims["sub"]]:
        del refresh_tokens[value]


@app.post("/register", status_code=status.HTTP_201_CREATED)
async def register(body: Registration):
    if body.username in users:
        raise HTTPException(status.HTTP_409_CONFLICT, "Username already registered")
    users[body.username] = {
        "username": body.username,
        "email": body.email,
        "role": "viewer",
        "scopes": [],
        "hash": hashes.hash(body.password),
    }
    return shown(users[body.username])


@app.get("/users/me")
async def me(user: Annotated[dict, Depends(current_user)]):
    return shown(user)


@app.post("/users/me/password", status_code=status.HTTP_204_NO_CONTENT)
async def change_password(body: Change, user: Annotated[dict, Depends(current_user)]):
    if not hashes.verify(body.current_password, user["hash"]):
        raise unauthorized("Incorrect password")
    user["hash"] = hashes.hash(body.new_password)


@app.post("/api-keys", status_code=status.HTTP_201_CREATED)
async def create_key(body: NewKey, user: Annotated[dict, Depends(current_user)]):
    key = secrets.token_urlsafe(32)
    api_keys[key] = (user["username"], [scope for scope in body.scopes if scope in user["scopes"]])
    return {"name": body.name, "key": key}


@app.get("/admin/users")
async def all_users(_: Annotated[dict, Depends(role("admin"))]):
    return [shown(user) for user in users.values()]


@app.get("/items")
async def read_items(user: Annotated[dict, Security(current_user, scopes=["items:read"])]):
    return {"items": ["spoon"], "for": user["username"]}


@app.post("/items", status_code=status.HTTP_201_CREATED)
async def write_items(user: Annotated[dict, Security(current_user, scopes=["items:write"])]):
    return {"item": "fork", "by": user["username"]}


@app.get("/reports")
async def reports(user: Annotated[dict, Depends(role("user"))]):
    return {"reports": [], "for": user["username"]}


@app.get("/hello")
async def hello(user: Annotated[dict | None, Depends(maybe_user)]):
    return {"hello": user["username"] if user else "stranger"}


@app.get("/health")
async def health():
    return {"status": "ok"}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

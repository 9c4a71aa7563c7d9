"""A FastAPI application that checks bearer tokens as FastAPI's guides do, with PyJWT. It answers the 1 KiB itself: no proxy, no hop."""

import json
import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.responses import PlainTextResponse
from fastapi.security import OAuth2PasswordBearer

SETTINGS = json.loads(os.environ["BENCH_SETTINGS"])
BODY = "x" * 1024

app = FastAPI()
bearer = OAuth2PasswordBearer(tokenUrl="token")


def user_by(algorithm):
    key = SETTINGS["keys"][algorithm]

    async def current_user(token: Annotated[str, Depends(bearer)]):
        try:
            claims = jwt.decode(
                token, key, algorithms=[algorithm], issuer=SETTINGS["issuer"], audience=SETTINGS["audience"], options={"require": ["exp"]}
            )
        except jwt.InvalidTokenError:
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})
        return claims["preferred_username"]

    return current_user


@app.get("/plain/1k", response_class=PlainTextResponse)
async def plain():
    return BODY


def add(path, algorithm):
    @app.get(f"/{path}/1k", response_class=PlainTextResponse)
    async def checked(user: Annotated[str, Depends(user_by(algorithm))]):
        return BODY


for algorithm in SETTINGS["keys"]:
    add(algorithm.lower(), algorithm)

"""The same service behind the gateway: what was about authentication is gone, and a header says who calls.

Argument: the port.
"""

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header

app = FastAPI(title="Items", docs_url=None, openapi_url=None)
User = Annotated[str | None, Header(alias="X-Auth-User")]


@app.get("/items")
async def read_items(user: User):
    return {"items": ["spoon"], "for": user}


@app.post("/items", status_code=201)
async def write_items(user: User):
    return {"item": "fork", "by": user}


@app.get("/reports")
async def reports(user: User):
    return {"reports": [], "for": user}


@app.get("/hello")
async def hello(user: User = None):
    return {"hello": user or "stranger"}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

"""The server: routes, errors as JSON or a page, and what surrounds them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from trueline.errors import InputError, RunError
from trueline.feedback.labelling.records import Refused
from trueline.web import pages
from trueline.web.api import accounts, chat, data, labelling, quality, review, watch
from trueline.web.shield import Rate, Shield
from trueline.web.site import HERE, Site

ROUTERS = tuple(part.router for part in (labelling, chat, review, quality, watch, data, accounts, pages))
REQUESTS_A_MINUTE, TRIES_A_MINUTE = 1200, 10


def create_app(site: Site) -> FastAPI:
    app = FastAPI(
        title="Trueline labelling",
        version="1",
        description="Tasks, judgements, quality, data and people of a labelling project.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.site = site
    app.state.imports = {}
    app.state.streams = 0
    app.state.requests = Rate(REQUESTS_A_MINUTE, 60)
    app.state.tries = Rate(TRIES_A_MINUTE, 60)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for kind, handler in {
        Refused: _refused,
        InputError: lambda _, e: _error(422, str(e)),
        RunError: lambda _, e: _error(503, "the store cannot be reached just now; try again", retry=2),
        RequestValidationError: _invalid,
        HTTPException: lambda _, e: _error(e.status_code, str(e.detail)),
    }.items():
        app.add_exception_handler(kind, handler)  # type: ignore[arg-type]
    app.add_middleware(Shield, hosts=site.hosts)
    return app


def _refused(request: Request, error: Refused) -> Response:
    if error.status == 401 and "text/html" in request.headers.get("accept", "") and request.method == "GET":
        return RedirectResponse("/sign-in", 303)
    return _error(error.status, str(error), retry=2 if error.status == 429 else 0, **error.details)


def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _error(422, f"{where}: {first['msg'].removeprefix('Value error, ')}", field=where)


def _error(status: int, message: str, *, retry: int = 0, **details: Any) -> JSONResponse:
    headers = {"retry-after": str(retry)} if retry else None
    return JSONResponse({"error": {"message": message, **details}}, status, headers)

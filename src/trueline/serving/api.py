"""The server: OpenAI's routes, and who may use them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from trueline.errors import TruelineError
from trueline.serving.answers import Asked, Choice, Served, ask
from trueline.serving.bodies import ChatBody, CompletionBody
from trueline.serving.keys import Keys, Rate
from trueline.serving.refusals import Refused, failed, invalid, unknown_model
from trueline.serving.wire import BLOCK, Wire, event, gate_word, model_json

LONGEST_BODY = 2_000_000
Found = TypeVar("Found")


@dataclass(frozen=True)
class Server:
    """models by name; keys None: whoever reaches the server may ask; hosts: by which names it may be asked for (against
    DNS rebinding), () for any. created: when it was started, seconds since 1970. extra: routes beside OpenAI's.
    """

    models: Mapping[str, Served]
    keys: Keys | None = None
    rate: Rate = field(default_factory=lambda: Rate(600))
    hosts: tuple[str, ...] = ()
    created: int = field(default_factory=lambda: int(time.time()))
    extra: Sequence[BaseRoute] = ()

    def called(self, request: Request) -> None:
        """Refused: no host of this server."""
        host = request.headers.get("host", "")
        if self.hosts and (host if host.endswith("]") else host.rsplit(":", 1)[0]) not in self.hosts:
            raise Refused(421, "this server is not called so; ask it under its own address", code="wrong_host")

    def admit(self, request: Request) -> str | None:
        """The hash of the key, None where no keys are asked for. Refused: no host of this server, no key, too many."""
        self.called(request)
        if self.keys is None:
            return None
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        key = self.keys.whose(secret.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Refused(401, "Incorrect API key provided", kind="authentication_error", code="invalid_api_key")
        if wait := self.rate.wait(key):
            text = f"this key may ask {self.rate.most} times a minute"
            raise Refused(429, text, kind="rate_limit_error", code="rate_limit_exceeded", retry=int(wait) + 1)
        return key


def create_app(server: Server) -> Starlette:
    async def models(request: Request) -> Response:
        server.admit(request)
        return JSONResponse({"object": "list", "data": [model_json(s, server.created) for s in server.models.values()]})

    async def model(request: Request) -> Response:
        server.admit(request)
        served = model_of(server, request.path_params["name"])
        return JSONResponse(model_json(served, server.created), headers=headers_of([served]))

    async def chat(request: Request) -> Response:
        server.admit(request)
        return await _answer(server, request, ChatBody)

    async def completions(request: Request) -> Response:
        server.admit(request)
        return await _answer(server, request, CompletionBody)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    @contextlib.asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        for served in server.models.values():
            served.batcher.start()
        try:
            yield
        finally:
            for served in server.models.values():
                await asyncio.to_thread(served.close)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/health", health),
        *server.extra,
    ]
    handlers: dict[Any, Any] = {
        Refused: lambda _, e: e.response(),
        HTTPException: lambda _, e: Refused(e.status_code, str(e.detail)).response(),
        ClientDisconnect: lambda _, e: Response(status_code=499),
        Exception: lambda _, e: failed().response(),
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=running)
    app.add_middleware(WithHeaders, headers=headers_of(list(server.models.values())))
    return app


@dataclass
class WithHeaders:
    """What every response says, refusals too: whether a gate stands before every model."""

    app: Any
    headers: Mapping[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in self.headers.items() if k.encode() not in present]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def headers_of(models: Sequence[Served]) -> dict[str, str]:
    """What every response about some models says."""
    off = any(gate_word(s) == "off" for s in models)
    red = {"x-trueline-red-team": "yes"} if any(s.red_team for s in models) else {}
    marked = {"x-trueline-watermark": "on"} if models and all(s.batcher.watermark for s in models) else {}
    always = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return {"x-trueline-gate": "off" if off else "on", **red, **marked, **always}


def model_of(server: Server, name: str) -> Served:
    """Refused: no such model."""
    if name not in server.models:
        raise unknown_model(name)
    return server.models[name]


async def _answer(server: Server, request: Request, kind: type[ChatBody] | type[CompletionBody]) -> Response:
    try:
        body = kind.model_validate_json(await read_json(request))
    except ValidationError as error:
        raise invalid(error) from None
    served = model_of(server, body.model)
    asked = await ask(served, body)
    wanted = request.headers.get(BLOCK, "").lower()
    explain, why = bool(body.explain) or wanted in ("explain", "why"), wanted == "why"
    wire = Wire(asked, kind is ChatBody, body.with_usage, explain, why)
    headers = headers_of([served])
    if body.stream:
        return Stream(asked, _events(asked, wire), headers)
    try:
        choices = await unless_gone(request, asked.choices(explain, why))
    finally:
        asked.cancel()
    return JSONResponse(wire.whole(choices), headers=headers)


class Stream(StreamingResponse):
    """However it ends, and where the client has gone before it began, its places in the batch are free then."""

    def __init__(self, asked: Asked, events: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self.asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.asked.cancel()


async def _events(asked: Asked, wire: Wire) -> AsyncIterator[bytes]:
    try:
        if wire.chat:
            for i in range(asked.n):
                yield wire.first(i)
        if asked.refused_for or asked.served.holds_back or wire.explain:
            choices = await asked.choices(wire.explain, wire.why)
            for i, choice in enumerate(choices):
                yield wire.piece(i, choice.text, choice.drawn)
                yield wire.piece(i, "", (), choice.finish)
            yield wire.last(sum(c.tokens for c in choices), choices)
            return
        tokens = 0
        async for i, text, drawn, finish, so_far in asked.merged():
            if finish == "failed":
                raise failed()
            if text or drawn:
                yield wire.piece(i, text, drawn)
            if finish:
                tokens += so_far
                yield wire.piece(i, "", (), finish)
        nothing: list[Choice] = []
        yield wire.last(tokens, nothing)
    except Refused as refused:
        yield event(refused.body())
    except TruelineError as error:
        logging.getLogger(__name__).error("a stream ended early: %s", error)
        yield event(failed().body())


async def read_json(request: Request) -> bytes:
    """The body. Refused: not called JSON (415), too long (413)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A page of another site could send anything else without asking first.
        raise Refused(415, "the content type must be application/json", code="invalid_content_type")
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > LONGEST_BODY:
            raise Refused(413, f"the body is longer than {LONGEST_BODY} bytes", code="request_too_large")
    return bytes(found)


async def unless_gone(request: Request, work: Coroutine[Any, Any, Found]) -> Found:
    """The result; ClientDisconnect where nobody waits for it any more, and the work is stopped."""
    doing, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        doing.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

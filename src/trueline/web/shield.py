"""What every answer carries, and what no request may be: headers, hosts, sizes, rates."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_JSON = 2_000_000
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass
class Rate:
    """At most `most` uses of a key in `seconds`, of the keys used last."""

    most: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    seen: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)

    def allows(self, key: str) -> bool:
        now = self.clock()
        recent = [t for t in self.seen.pop(key, []) if t > now - self.seconds]
        allowed = len(recent) < self.most
        self.seen[key] = [*recent, now] if allowed else recent
        while len(self.seen) > 10_000:
            self.seen.popitem(last=False)
        return allowed


@dataclass
class Shield:
    """hosts: by which names the server may be asked for (against DNS rebinding); () allows any."""

    app: ASGIApp
    hosts: tuple[str, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if self.hosts and name not in self.hosts:
            await _refuse(421, f"this server is not called {name!r}; open it under its own address")(
                scope, receive, send
            )
            return
        kind = headers.get("content-type", "")
        if int(headers.get("content-length", "0") or 0) > LARGEST_JSON and "multipart/" not in kind:
            await _refuse(413, f"the request is longer than {LARGEST_JSON} bytes")(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for key, value in HEADERS.items():
                    found.setdefault(key, value)
                found.setdefault("cache-control", "no-cache" if scope["path"].startswith("/static/") else "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)


def _refuse(status: int, message: str) -> Any:
    return JSONResponse({"error": {"message": message}}, status)

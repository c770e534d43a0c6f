"""One question to an OpenAI-compatible chat-completions API, with the standard library alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

MOST_BYTES = 4_000_000  # of an answer
MOST_TOKENS = 4096
ABOUT_THIS_TEXT = (400, 413, 422)


class ApiFailure(Exception):
    """why: as people read it; passes: worth another try soon; lasting: the next question fares no better.

    It holds nothing that the server said, which may repeat the key.
    """

    def __init__(self, why: str, *, passes: bool = False, lasting: bool = True) -> None:
        super().__init__(why)
        self.why, self.passes, self.lasting = why, passes, lasting


class _NoRedirect(HTTPRedirectHandler):
    """urllib would take the key along to wherever it is sent."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class ChatApi:
    """url: what stands before /chat/completions; timeout: seconds of silence; waits: seconds before each new try."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    waits: tuple[float, ...] = (1.0, 5.0, 25.0)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def ask(self, system: str, user: str) -> str:
        """The answer at temperature 0, as `complete`."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return self.complete(messages, 0, MOST_TOKENS)

    def complete(self, messages: list[dict[str, str]], temperature: float, max_tokens: int) -> str:
        """The next message. ApiFailure: none came, after new tries where the failure might pass."""
        body = {"model": self.model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens}
        for wait in self.waits:
            try:
                return self._once(body)
            except ApiFailure as failure:
                if not failure.passes:
                    raise
            self.sleep(wait)
        return self._once(body)

    def _once(self, body: dict[str, Any]) -> str:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = f"{self.url.rstrip('/')}/chat/completions"
        request = Request(url, json.dumps(body).encode(), headers, method="POST")
        try:
            with build_opener(_NoRedirect).open(request, timeout=self.timeout) as answer:
                return _content(answer.read(MOST_BYTES))
        except HTTPError as error:
            error.close()
            raise _refused(error.code) from None
        except (OSError, HTTPException, UnicodeError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if isinstance(reason, TimeoutError):
                raise ApiFailure(f"no answer within {self.timeout:g} s") from None
            said = getattr(reason, "strerror", None) or type(reason).__name__
            raise ApiFailure(f"no connection: {said}", passes=True) from None


def _refused(status: int) -> ApiFailure:
    return ApiFailure(f"HTTP {status}", passes=status == 429 or status >= 500, lasting=status not in ABOUT_THIS_TEXT)


def _content(data: bytes) -> str:
    try:
        content = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        content = None
    if not isinstance(content, str):
        raise ApiFailure("not a chat completion")
    return content

"""Tell another program of each judgement: a POST of JSON, signed with a shared secret.

X-Trueline-Signature is sha256=HMAC-SHA256($TRUELINE_WEBHOOK_SECRET, "TIMESTAMP.BODY") in hex, with the timestamp of
X-Trueline-Timestamp: who receives it computes the same, and leaves what is old or does not fit.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from trueline.errors import InputError, RunError

SECRET = "TRUELINE_WEBHOOK_SECRET"
WAITS = (1.0, 5.0, 25.0)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def signature(secret: str, timestamp: int, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def deliver(url: str, event: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep) -> int:
    """POST the event; the status. Tried again three times; RunError where it never arrived, InputError: no secret."""
    secret = os.environ.get(SECRET)
    if not secret:
        raise InputError(f"labelling.webhook is set, but ${SECRET} is not: set it for whoever runs the worker")
    body, last = json.dumps(event, ensure_ascii=False, sort_keys=True).encode(), ""
    for wait in (*WAITS, None):
        now = int(time.time())
        headers = {"X-Trueline-Timestamp": str(now), "X-Trueline-Signature": signature(secret, now, body)}
        request = Request(url, body, {"Content-Type": "application/json", **headers}, method="POST")
        try:
            with build_opener(_NoRedirect).open(request, timeout=10) as answer:
                return int(answer.status)
        except (HTTPError, URLError, OSError) as error:
            last = str(error)
        if wait is not None:
            sleep(wait)
    raise RunError(f"the webhook {url} did not take an event ({last})")

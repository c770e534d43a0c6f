"""A small client of the labelling API, with the standard library alone.

client = Client("http://127.0.0.1:8765", token)
while task := client.next():
    client.judge(task, preference=1, marks=[{"quality": 2}, {"quality": 4}])
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from trueline import durable
from trueline.errors import InputError, RunError


@dataclass(frozen=True)
class Client:
    """address: of `trueline serve`; token: made on its page People. Errors carry the server's own words."""

    address: str
    token: str
    timeout: float = 30.0

    def next(self) -> dict[str, Any] | None:
        """The task that this account holds, or the next one; None where nothing is left."""
        return self._ask("POST", "next")

    def judge(
        self,
        task: Mapping[str, Any],
        *,
        preference: int | None = None,
        marks: Sequence[Mapping[str, int | None]] = (),
        key: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        """Say what is better: -3 (left much better) to 3; marks for each answer, left first; more: rationale and so on.

        key: where a submission is repeated, that of its first try.
        """
        body = {"shown": [a["id"] for a in task["answers"]], "preference": preference, "marks": list(marks), **more}
        found = self._ask("POST", f"tasks/{task['id']}/judgement", body, key or uuid.uuid4().hex)
        assert found is not None
        return found

    def undo(self) -> dict[str, Any]:
        """The task that was judged last, with what was said as its draft."""
        found = self._ask("POST", "undo", key=uuid.uuid4().hex)
        assert found is not None
        return found

    def progress(self) -> dict[str, Any]:
        return self._ask("GET", "progress") or {}

    def quality(self) -> dict[str, Any]:
        """Agreement and people, as on the page Quality."""
        return self._ask("GET", "quality") or {}

    def export(self, name: str, target: Path) -> None:
        """Write an export, such as preferences.jsonl, to a file: whole, or not at all."""
        with self._open("GET", f"export/{name}", None, "") as answer:
            durable.fill_file(target, lambda file: shutil.copyfileobj(answer, file))

    def _ask(self, method: str, path: str, body: Any = None, key: str = "") -> dict[str, Any] | None:
        with self._open(method, path, body, key) as answer:
            data = answer.read()
        found: dict[str, Any] | None = json.loads(data) if data else None
        return found

    def _open(self, method: str, path: str, body: Any, key: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.address}/api/v1/{path}", data, headers, method=method)
        try:
            return urlopen(request, timeout=self.timeout)
        except HTTPError as error:
            raise InputError(f"{path}: {_words(error.read())} ({error.code})") from error
        except (URLError, OSError) as error:
            raise RunError(f"{self.address} does not answer ({error}); is `trueline serve` running?") from error


def _words(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "refused"

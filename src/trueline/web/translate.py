"""Languages of the pages: English texts are the keys, locale/LANGUAGE.json has the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fastapi import Request

LANGUAGES = {"en": "English", "zh": "中文"}


def load() -> Mapping[str, Mapping[str, str]]:
    """By language, from English text to translation; English itself needs none."""
    folder = Path(__file__).parent / "locale"
    return {"en": {}} | {
        name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in LANGUAGES if name != "en"
    }


def preferred(cookie: str | None, header: str) -> str:
    """The language that was chosen, else the first of the browser's that there is, else English."""
    if cookie in LANGUAGES:
        return str(cookie)
    for part in header.split(","):
        name = part.split(";")[0].strip().lower().split("-")[0]
        if name in LANGUAGES:
            return name
    return "en"


def language_of(request: Request) -> str:
    return preferred(request.cookies.get("language"), request.headers.get("accept-language", ""))

"""The chat page of a served model: a person talks to it, and to the policy it was made from beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from trueline.errors import TruelineError
from trueline.feedback.users import named_user
from trueline.serving.answers import Asked, ask
from trueline.serving.api import Server, Stream, read_json
from trueline.serving.bodies import ChatBody
from trueline.serving.feedback import Keeping, Seal, from_here, name_of, prompt_of, take
from trueline.serving.refusals import Refused, failed, invalid, unknown_model
from trueline.serving.texts import PART
from trueline.serving.wire import event, gate_word
from trueline.web import site as web
from trueline.web import translate
from trueline.web.api.bodies import Conversation, Name
from trueline.web.shield import HEADERS
from trueline.web.translate import LANGUAGES, language_of

HERE = Path(__file__).parent / "pages"
YEAR, LONGEST_FORM = 31_536_000, 10_000
templates = Jinja2Templates(directory=[HERE / "templates", web.HERE / "templates"])


@dataclass(frozen=True)
class Page:
    """columns: the model, and the base that stands beside it where there is one; room: tokens of an answer, but never
    more than half of what the model can read; keeping: None where feedback is not kept.
    """

    columns: tuple[str, ...]
    room: int
    keeping: Keeping | None = None
    seal: Seal = field(default_factory=Seal)


class AskBody(Conversation):
    model: Name


def routes(server: Server, page: Page) -> Sequence[BaseRoute]:
    """For `Server.extra`; server: the same without them."""

    async def show(request: Request) -> Response:
        server.called(request)
        return _render(request)

    async def setup(request: Request) -> Response:
        key = server.admit(request)
        return JSONResponse(_setup(server, page, key), headers=HEADERS)

    async def answers(request: Request) -> Response:
        server.admit(request)
        from_here(request)
        return await _answer(server, page, request)

    async def feedback(request: Request) -> Response:
        return await take(request, server, page.keeping, page.seal)

    async def language(request: Request) -> Response:
        server.called(request)
        from_here(request)
        return await _choose_language(request)

    return [
        Route("/", show),
        Route("/chat", show),
        Route("/chat/setup", setup),
        Route("/chat/answers", answers, methods=["POST"]),
        Route("/chat/feedback", feedback, methods=["POST"]),
        Route("/language", language, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static", packages=[("trueline.web", "static")])),
    ]


@lru_cache(maxsize=1)
def _strings() -> Mapping[str, Mapping[str, str]]:
    """By language, from English text to translation: the labelling pages' and this page's own."""
    shared = translate.load()
    own = {name: HERE / "locale" / f"{name}.json" for name in LANGUAGES}
    return {
        name: {**shared[name], **(json.loads(file.read_text("utf-8")) if file.exists() else {})}
        for name, file in own.items()
    }


def _render(request: Request) -> Response:
    """The page as everybody may see it: what is served is told to those with a key."""
    language = language_of(request)
    strings = _strings()[language]
    context = {
        "_": lambda text: strings.get(text, text),
        "language": language,
        "me": None,
        "csrf": "",
        "page": "talk",
        "title": strings.get("Chat", "Chat"),
        "boot": {"language": language, "strings": strings},
    }
    return templates.TemplateResponse(request, "talk.html.jinja", context, headers=HEADERS)


def _setup(server: Server, page: Page, key: str | None) -> dict[str, Any]:
    roles = ("aligned", "base") if len(page.columns) > 1 else ("model",)
    keeping, name = page.keeping, name_of(server, key)
    return {
        "columns": [
            {
                "model": name,
                "role": role,
                "gate": gate_word(server.models[name]),
                "red_team": server.models[name].red_team,
                "explained": server.models[name].rewards is not None,
            }
            for name, role in zip(page.columns, roles, strict=True)
        ],
        "guarded": server.keys is not None,
        "kept": keeping is not None,
        "dimensions": keeping.dimensions if keeping else (),
        "dimension": keeping.dimension if keeping else None,
        "who": None if name is None else named_user(name).name,
    }


async def _answer(server: Server, page: Page, request: Request) -> Response:
    try:
        body = AskBody.model_validate_json(await read_json(request))
    except ValidationError as error:
        raise invalid(error) from None
    if body.model not in page.columns:
        raise unknown_model(body.model)
    turns = [{"role": m.role, "content": m.content} for m in body.messages]
    served = server.models[body.model]
    room = min(page.room, max(1, served.batcher.limit // 2))
    wanted = ChatBody.model_validate({"model": body.model, "messages": turns, "max_tokens": room})
    asked = await ask(served, wanted)
    return Stream(asked, _told(asked, body, page.seal), {"x-trueline-gate": gate_word(served)})


async def _told(asked: Asked, body: AskBody, seal: Seal) -> AsyncIterator[bytes]:
    """Text as it comes, then how it ended, with the seal; what the gate refused has none, as no model said it."""
    try:
        text, finish = "", "content_filter"
        if asked.refused_for or asked.served.holds_back:
            [choice] = await asked.choices(explain=False)
            text, finish = _storable(choice.text), choice.finish
            yield event({"text": text})
        else:
            async for _, piece, _, end, _ in asked.merged():
                if end == "failed":
                    raise failed()
                if piece:
                    piece = _storable(piece)
                    text += piece
                    yield event({"text": piece})
                finish = end or finish
        sealed = None if finish == "content_filter" else seal.of(body.model, prompt_of(body), text, finish)
        yield event({"finish": finish, "seal": sealed})
    except Refused as refused:
        yield event(refused.body())
    except TruelineError as error:
        logging.getLogger(__name__).error("an answer on the chat page ended early: %s", error)
        yield event(failed().body())


def _storable(text: str) -> str:
    """A small model may say a NUL, which comes back with what is said of its answer, and is refused in every body."""
    return text.replace("\0", PART)


async def _choose_language(request: Request) -> Response:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > LONGEST_FORM:
            raise Refused(413, f"the form is longer than {LONGEST_FORM} bytes", code="request_too_large")
    chosen = parse_qs(found.decode("utf-8", "replace")).get("language", [""])[0]
    response = RedirectResponse("/", 303)
    if chosen in LANGUAGES:
        response.set_cookie("language", chosen, max_age=YEAR, samesite="lax", httponly=True)
    return response

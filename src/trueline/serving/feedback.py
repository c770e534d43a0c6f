"""What users say of a served model's answers: checked, and into the project's store, with consent alone."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, StrictBool, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from trueline.errors import InputError, RunError
from trueline.feedback.formats.marks import dimension_of_preference
from trueline.feedback.labelling.records import OVERALL
from trueline.feedback.store import FeedbackStore
from trueline.feedback.thumbs import SERVED, Said, keep
from trueline.feedback.users import named_user, unnamed_user
from trueline.records import Annotator, Exchange, Message, Prompt
from trueline.serving.api import Server, read_json
from trueline.serving.keys import Rate
from trueline.serving.refusals import Refused, invalid
from trueline.web.api.bodies import Body, Conversation, Name, Plain

A_MINUTE = 20


@dataclass(frozen=True)
class Seal:
    """Proves that this server gave an answer, so that nobody can put words into a model's mouth; it holds until the
    server ends.
    """

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def of(self, model: str, prompt: Prompt, text: str, finish: str) -> str:
        said = json.dumps([model, [[m.role, m.content] for m in prompt.messages], text, finish])
        return hmac.new(self.secret, said.encode(), hashlib.sha256).hexdigest()

    def holds(self, seal: str, model: str, prompt: Prompt, text: str, finish: str) -> bool:
        return hmac.compare_digest(seal.encode(), self.of(model, prompt, text, finish).encode())


@dataclass(frozen=True)
class Keeping:
    """Where feedback goes; dimensions: those of the project. rate: of one key's feedback, beside its requests."""

    store: FeedbackStore
    dimensions: tuple[str, ...]
    rate: Rate = field(default_factory=lambda: Rate(A_MINUTE))

    @property
    def dimension(self) -> str:
        """What a thumb is about where nobody says so: as a whole, as near as the project's dimensions come to that."""
        whole = dimension_of_preference(self.dimensions)
        return self.dimensions[0] if whole == OVERALL else whole


class AnswerBody(Body):
    """An answer as it was given; seal: as it came with it. thumb: 1 up, -1 down, 0 none."""

    model: Name
    text: Annotated[Plain, Field(max_length=1_000_000)]
    finish: Literal["stop", "length"]
    seal: Annotated[Plain, Field(pattern="^[0-9a-f]{64}$")]
    thumb: Literal[-1, 0, 1] = 0
    correction: Annotated[Plain, Field(max_length=20_000)] = ""


class FeedbackBody(Conversation):
    """browser: what a browser keeps for itself, by which its labels are told apart where no keys are asked for."""

    consent: StrictBool
    answers: Annotated[list[AnswerBody], Field(min_length=1, max_length=2)]
    dimension: Name | None = None
    browser: Annotated[Plain, Field(pattern="^[0-9a-f]{32}$")] | None = None


def prompt_of(conversation: Conversation) -> Prompt:
    return Prompt(tuple(Message(m.role, m.content) for m in conversation.messages))


def from_here(request: Request) -> None:
    """Refused: a page of another site sent it."""
    origin = request.headers.get("origin")
    other = origin is not None and origin.partition("://")[2] != request.headers.get("host", "")
    if other or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "this came from a page of another site", code="cross_site")


async def take(request: Request, server: Server, keeping: Keeping | None, seal: Seal) -> Response:
    """Refused: no key, from another site, without consent, too often, of answers that were not given here."""
    key = server.admit(request)
    name = name_of(server, key)
    from_here(request)
    if keeping is None:
        raise Refused(404, "feedback is not kept here: the server has no project", code="not_kept")
    _often(keeping.rate, key or (request.client.host if request.client else ""))
    try:
        body = FeedbackBody.model_validate_json(await read_json(request))
    except ValidationError as error:
        raise invalid(error) from None
    if not body.consent:
        raise Refused(403, "nothing is kept without consent", param="consent", code="no_consent")
    dimension = body.dimension or keeping.dimension
    if dimension not in keeping.dimensions:
        text = f"dimension: must be one of {', '.join(keeping.dimensions)}"
        raise Refused(400, text, param="dimension", code="invalid_value")
    who, said = _who(name, body.browser), _said(body, seal)
    try:
        added = await asyncio.to_thread(keep, keeping.store, who, dimension, said)
    except InputError as error:
        raise Refused(400, str(error), code="invalid_value") from None
    except RunError:
        raise Refused(503, "the project's store cannot be reached just now; try again", retry=2) from None
    return JSONResponse({"who": who.name, "labels": added.ratings + added.comparisons})


def name_of(server: Server, key: str | None) -> str | None:
    """The name of the key that was just admitted; None where a browser says who it is."""
    return None if key is None or server.keys is None else server.keys.names[key]


def _who(name: str | None, browser: str | None) -> Annotator:
    if name is not None:
        return named_user(name)
    if browser is None:
        raise Refused(400, "browser is missing", param="browser", code="missing_required_parameter")
    return unnamed_user(browser)


def _often(rate: Rate, key: str) -> None:
    if wait := rate.wait(key):
        seconds = int(wait) + 1
        text = f"feedback is taken {rate.most} times a minute; wait {seconds} s"
        raise Refused(429, text, kind="rate_limit_error", code="rate_limit_exceeded", retry=seconds)


def _said(body: FeedbackBody, seal: Seal) -> Sequence[Said]:
    prompt = prompt_of(body)
    found = []
    for i, a in enumerate(body.answers):
        if not seal.holds(a.seal, a.model, prompt, a.text, a.finish):
            text = f"answers.{i}: this server did not give this answer since it was started; ask again"
            raise Refused(409, text, param=f"answers.{i}", code="unknown_answer")
        exchange = Exchange.of(prompt, a.text, SERVED + a.model, a.finish)
        found.append(Said(exchange, a.thumb, a.correction.strip()))
    return found

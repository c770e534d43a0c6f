"""The routes of "why": any answer explained, and the script and style that draw it on a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from trueline.records import Exchange, Prompt
from trueline.serving.api import Server, headers_of, model_of, read_json, unless_gone
from trueline.serving.bodies import Body, Turn
from trueline.serving.refusals import Refused, invalid

HERE = Path(__file__).parent / "static"
LONGEST = 20_000  # characters of an answer
FILES = {"why.js": "text/javascript", "why.css": "text/css"}


class WhyBody(Body):
    """other: an answer to the same conversation beside which this one is set, such as the base model's."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Turn], Field(min_length=1, max_length=2000)]
    answer: Annotated[str, Field(max_length=LONGEST)]
    other: Annotated[str, Field(max_length=LONGEST)] | None = None


def routes(server: Server) -> Sequence[BaseRoute]:
    """For `Server.extra`, before what else lies under /static; server: the same without them."""

    async def why(request: Request) -> Response:
        server.admit(request)
        return await _explained(server, request)

    async def file(request: Request) -> Response:
        server.called(request)
        name = request.url.path.rpartition("/")[2]
        return FileResponse(HERE / name, media_type=FILES[name], headers={"cache-control": "no-cache"})

    return [Route("/v1/trueline/why", why, methods=["POST"]), *(Route(f"/static/{name}", file) for name in FILES)]


async def _explained(server: Server, request: Request) -> Response:
    try:
        body = WhyBody.model_validate_json(await read_json(request))
    except ValidationError as error:
        raise invalid(error) from None
    served = model_of(server, body.model)
    rewards = served.rewards
    if rewards is None or rewards.explaining is None:
        text = f"{served.name} is served without a reward model, which could explain; start the server with --reward"
        raise Refused(400, text, param="model", code="no_reward_model")
    prompt = Prompt(tuple(turn.message for turn in body.messages))
    exchange, other = (None if t is None else Exchange.of(prompt, t.strip()) for t in (body.answer, body.other))
    assert exchange is not None
    found = await unless_gone(request, rewards.explaining.why(rewards.objective, exchange, other))
    head = {"object": "trueline.why", "model": served.name, "reward_model": rewards.name}
    return JSONResponse({**head, **found}, headers=headers_of([served]))

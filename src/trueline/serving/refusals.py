"""What is answered to a request that cannot be served: errors in the form of OpenAI's API."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

NOT_SERVED = (
    "frequency_penalty", "presence_penalty", "logit_bias", "tools", "functions", "response_format", "modalities",
)  # fmt: skip
BRANCHES = ("str", "int", "float", "bool")  # how pydantic names the branches of a union in a place


class Refused(Exception):
    """status: of HTTP; kind, param, code: `type`, `param` and `code` of the error; retry: seconds, 0 for not said."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
        retry: int = 0,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.retry = status, message, retry
        self.param, self.code, self.kind = param, code, kind

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, {"retry-after": str(self.retry)} if self.retry else None)


def failed() -> Refused:
    return Refused(500, "the model failed on this request; the server's log says why", kind="server_error")


def busy() -> Refused:
    return Refused(
        429, "too many answers wait already; try again", kind="rate_limit_error", code="rate_limit_exceeded", retry=2
    )


def unknown_model(name: str) -> Refused:
    return Refused(404, f"The model {_short(name)!r} does not exist", param="model", code="model_not_found")


def too_long(limit: int, prompt: int, answer: int) -> Refused:
    return Refused(
        400,
        f"This model's maximum context length is {limit} tokens. However, you requested {prompt + answer} tokens "
        f"({prompt} in the messages, {answer} in the completion). Please reduce the length of either.",
        param="messages",
        code="context_length_exceeded",
    )


def invalid(error: ValidationError) -> Refused:
    """The first thing that is wrong with a body; where it may be of several forms, what the closest lacks."""
    errors = error.errors(include_url=False, include_input=False)
    first = max((e for e in errors if e["loc"][:1] == errors[0]["loc"][:1]), key=lambda e: len(e["loc"]))
    if first["type"] == "json_invalid":
        return Refused(400, "the body is not valid JSON", code="invalid_json")
    named = [_short(str(p)) for p in first["loc"] if isinstance(p, int) or (p.isidentifier() and p not in BRANCHES)]
    param = ".".join(named) or (_short(str(first["loc"][0])) if first["loc"] else None)
    if first["type"] == "extra_forbidden":
        known = param in NOT_SERVED
        text = f"{param} is not supported here" if known else f"Unrecognized request argument supplied: {param}"
        return Refused(400, text, param=param, code="unsupported_parameter" if known else "unknown_parameter")
    if named and named[0] in NOT_SERVED:
        text = f"{named[0]} is not supported here; leave it out"
        return Refused(400, text, param=named[0], code="unsupported_parameter")
    if first["type"] == "missing":
        return Refused(400, f"{param} is missing", param=param, code="missing_required_parameter")
    what = first["msg"].removeprefix("Value error, ")
    return Refused(400, f"{param}: {what}" if param else what, param=param, code="invalid_value")


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"

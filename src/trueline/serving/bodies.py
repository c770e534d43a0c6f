"""What a request may ask for. A setting that would change the answer and is not served is refused, never ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from trueline.records import Message, Prompt

MOST_CHOICES = 16
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]
Nought = Annotated[float, Field(ge=0, le=0)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TextPart(Body):
    type: Literal["text"]
    text: str


class Turn(Body):
    """The fields behind `name` are those of an answer that a client sends back as it came."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: str | None = None
    refusal: str | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def message(self) -> Message:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(Body):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class TextFormat(Body):
    type: Literal["text"]


class Drawing(Body):
    """How answers are drawn; the same for both kinds of request. explain: say what rewards the answers got."""

    model: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=2**31)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    seed: Seed | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    explain: bool | None = Field(None, alias="x-trueline")
    frequency_penalty: Nought | None = None
    presence_penalty: Nought | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    user: str | None = None

    @field_validator("temperature")
    @classmethod
    def _not_almost_nought(cls, given: float | None) -> float | None:
        # Logits are divided by it: what is this cold is greedy.
        return 0.0 if given is not None and given < 1e-4 else given

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def room(self) -> int | None:
        return self.max_tokens

    @property
    def with_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def top(self) -> int | None:
        """Of how many likeliest tokens log-probabilities are wanted; None: of none, not of the drawn one either."""
        return None


class ChatBody(Drawing):
    messages: Annotated[list[Turn], Field(min_length=1, max_length=2000)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=2**31)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: TextFormat | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _with_logprobs(cls, given: int | None, info: Any) -> int | None:
        if given is not None and not info.data.get("logprobs"):
            raise ValueError("needs logprobs to be true")
        return given

    @property
    def prompt(self) -> Prompt:
        return Prompt(tuple(turn.message for turn in self.messages))

    @property
    def room(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def top(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionBody(Drawing):
    """Text that goes on. The log-probabilities of this older form are not served, nor is more than one prompt."""

    prompt: str

    @property
    def asked(self) -> Prompt:
        return Prompt.from_user(self.prompt)

"""From messages to tokens and back, in the model's own chat form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from trueline.policy.load import Policy
from trueline.policy.tokenizer import ROLE_TOKENS, encode_chat
from trueline.records import Message, Prompt


def encode_prompt(policy: Policy, prompt: Prompt, max_tokens: int) -> list[int]:
    """The token ids that a model answers to; the oldest are dropped beyond `max_tokens`.

    Our own tokenizers encode each message apart, so that a user cannot write a control token. Other models use
    their chat template; base models without one read plain text.
    """
    return _encode(policy, prompt.messages)[-max_tokens:]


def _encode(policy: Policy, messages: Sequence[Message]) -> list[int]:
    tokenizer = policy.tokenizer
    ids = tokenizer.convert_tokens_to_ids(list(ROLE_TOKENS.values()))  # get_vocab would copy the vocabulary each time
    if all(i is not None and i != tokenizer.unk_token_id for i in ids):
        return encode_chat(tokenizer, messages, add_generation_prompt=True)
    turns = [{"role": m.role, "content": m.content} for m in messages]
    if tokenizer.chat_template:
        try:
            return _by_template(tokenizer, turns)
        except TemplateError:
            # Gemma's and other templates refuse a system turn: it then opens the first question.
            if len(turns) < 2 or turns[0]["role"] != "system":
                raise
            first = f"{turns[0]['content']}\n\n{turns[1]['content']}"
            return _by_template(tokenizer, [{**turns[1], "content": first}, *turns[2:]])
    if len(messages) == 1:
        return list(tokenizer.encode(messages[0].content))
    text = "".join(f"{m.role.title()}: {m.content}\n\n" for m in messages) + "Assistant:"
    return list(tokenizer.encode(text))


def _by_template(tokenizer: Any, turns: list[dict[str, str]]) -> list[int]:
    return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"])


def encode_turn(policy: Policy, turn: Message) -> list[int]:
    """The tokens that follow an assistant's end token where somebody else speaks next, up to where it goes on.

    A chat template is asked for a whole conversation, of which they are the end; one that refuses the role gets a user.
    """
    before = (Message("user", "a"), Message("assistant", "b"))
    try:
        ids, opened = _encode(policy, (*before, turn)), _encode(policy, before[:1])
    except TemplateError:
        ids, opened = _encode(policy, (*before, Message("user", turn.content))), _encode(policy, before[:1])
    if ids[: len(opened)] == opened:
        end = next((i for i in range(len(opened), len(ids)) if ids[i] in policy.end_ids), None)
        if end is not None:
            return ids[end + 1 :]
    # Plain text, which has no end token between turns.
    text = f"\n\n{turn.role.title()}: {turn.content}\n\nAssistant:"
    return list(policy.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def encode_answer(policy: Policy, text: str) -> list[int]:
    """An answer's tokens with the end token behind them."""
    ids = policy.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return [*ids, policy.end_ids[0]]


def decode_answer(policy: Policy, ids: Sequence[int]) -> str:
    """An answer's text without control tokens."""
    return str(policy.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

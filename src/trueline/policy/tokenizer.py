"""Train a tokenizer on one's own text, and write chats with it.

Digits go in pairs (" 4821" is " 48", "21"), so that copying a number takes half as many look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from trueline.records import Message

PAD, END = "<|pad|>", "<|end|>"
ROLE_TOKENS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}

_PIECES = r" ?\d{1,2}| ?[^\s\d\p{P}\p{S}]+| ?[\p{P}\p{S}]+|\s"
_CHARACTERS = r" ?\d{1,2}|\p{Han}| ?[^\s\d\p{P}\p{S}\p{Han}]+| ?[\p{P}\p{S}]+|\s"
_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, *, chat: bool = True, characters: bool = False
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: any text comes back unchanged; padding is never the end token.

    Without `chat` it has no role tokens and no chat template, for a policy that goes on with plain text. With
    `characters` no token is of two Chinese characters (a rare one may be two or three tokens): who writes verse must
    count them.
    """
    roles = list(ROLE_TOKENS.values()) if chat else []
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CHARACTERS if characters else _PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END, *roles],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=roles,
        padding_side="left",
        chat_template=_TEMPLATE if chat else None,
        clean_up_tokenization_spaces=False,
    )


def encode_chat(tokenizer: Any, messages: Sequence[Message], *, add_generation_prompt: bool) -> list[int]:
    """The ids of a chat; control tokens come from the roles alone, never from what somebody wrote."""
    ids: list[int] = []
    for message in messages:
        ids.append(tokenizer.convert_tokens_to_ids(ROLE_TOKENS[message.role]))
        ids += tokenizer.encode(message.content, add_special_tokens=False, split_special_tokens=True)
        if message.role == "assistant":
            ids.append(tokenizer.eos_token_id)
    if add_generation_prompt:
        ids.append(tokenizer.convert_tokens_to_ids(ROLE_TOKENS["assistant"]))
    return ids

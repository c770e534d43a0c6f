"""Personal data that has a form is replaced before it is stored, where the project wants that: `privacy.mask`.

`masked` is for whoever takes texts in; `masked_item` is for imports, whose labels name answers by their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from trueline.config import PrivacyConfig
from trueline.feedback.formats.base import Item, RowError
from trueline.feedback.screening.personal import masked as with_kinds
from trueline.feedback.screening.personal import personal_in
from trueline.records import Completion, Exchange, Message, Prompt


def masked(text: str, settings: PrivacyConfig) -> str:
    """The text as it may be stored: with `privacy.mask = "mask"` each email address, number and the like is its kind in
    brackets, such as [email].
    """
    return without_personal(text) if settings.mask == "mask" else text


def without_personal(text: str) -> str:
    """The text with personal data of a known form replaced, whatever the settings say."""
    return with_kinds(text, personal_in(text))


def masked_rows(rows: Iterable[Item | RowError], file: str) -> Iterator[Item | RowError]:
    """Rows of an import without personal data. A row whose two compared answers differed in that alone is an error."""
    for row in rows:
        if isinstance(row, RowError):
            yield row
            continue
        item = masked_item(row)
        if any(c.a_id == c.b_id for c in item.comparisons):
            why = "its two answers differ in personal data alone, which is masked"
            yield RowError(file, row.row, why, row.unit, row.place)
        else:
            yield item


def masked_item(item: Item) -> Item:
    """The same with every text masked; labels follow their answers, whose ids are told by the text."""
    exchanges = tuple(_exchange(e) for e in item.exchanges)
    ids = {old.completion.id: new.completion.id for old, new in zip(item.exchanges, exchanges, strict=True)}
    return replace(
        item,
        exchanges=exchanges,
        prompts=tuple(_prompt(p) for p in item.prompts),
        ratings=tuple(replace(r, completion_id=ids.get(r.completion_id, r.completion_id)) for r in item.ratings),
        comparisons=tuple(
            replace(c, a_id=ids.get(c.a_id, c.a_id), b_id=ids.get(c.b_id, c.b_id)) for c in item.comparisons
        ),
    )


def _exchange(exchange: Exchange) -> Exchange:
    prompt, c = _prompt(exchange.prompt), exchange.completion
    return Exchange(prompt, Completion(prompt.id, without_personal(c.text), c.source, c.finish))


def _prompt(prompt: Prompt) -> Prompt:
    messages = tuple(Message(m.role, without_personal(m.content)) for m in prompt.messages)
    return Prompt(messages, _value(prompt.meta))


def _value(value: Any) -> Any:
    """What a prompt's meta holds, its strings masked."""
    if isinstance(value, str):
        return without_personal(value)
    if isinstance(value, Mapping):
        return {k: _value(v) for k, v in value.items()}
    return [_value(v) for v in value] if isinstance(value, list | tuple) else value

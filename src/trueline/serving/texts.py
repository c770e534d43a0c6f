"""An answer's text as its tokens come: what is sure is told at once, and joined it is the text of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PART = "\ufffd"  # how a decoder writes the beginning of a character whose other tokens are still to come


class Text:
    """What may be the beginning of a stop text, or of a character of several tokens, waits for its end.

    Only the last few tokens are decoded at each step, so that a long answer costs no more a token than a short one.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self.tokenizer, self.stop = tokenizer, stop
        self.tokens: list[int] = []
        self.before = self.told = 0  # told: tokens whose text is out; before: where decoding begins, for their spaces
        self.waiting = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """The text that is sure now and was not before; where it ends with a stop text, `stopped` is set."""
        self.tokens.append(token)
        new = self._fresh()
        return "" if new.endswith(PART) else self._sure(new)

    def end(self) -> str:
        """What still waited."""
        text = self._sure(self._fresh())
        if not self.stopped:
            text, self.waiting = text + self.waiting, ""
        return text

    def _fresh(self) -> str:
        return self._decode(self.tokens[self.before :])[len(self._decode(self.tokens[self.before : self.told])) :]

    def _sure(self, new: str) -> str:
        if new:
            self.before, self.told = self.told, len(self.tokens)
        text = self.waiting + new
        at = min((i for s in self.stop if (i := text.find(s)) >= 0), default=-1)
        if at >= 0:
            self.stopped, self.waiting = True, ""
            return text[:at]
        held = max((n for s in self.stop for n in range(1, len(s)) if text.endswith(s[:n])), default=0)
        self.waiting = text[len(text) - held :]
        return text[: len(text) - held]

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)) if tokens else ""

"""trueline reward explain"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueline.cli.output import JsonOption, NameOption, ProjectOption, finish, table

if TYPE_CHECKING:
    from trueline.loop.reward_checks import Explanation

SHOWN = 12


def explain(
    text: Annotated[str, typer.Argument(help="The answer to explain.")],
    prompt: Annotated[str, typer.Option(help="What it answers.")] = "",
    project: ProjectOption = Path(),
    name: NameOption = "reward",
    as_json: JsonOption = False,
) -> None:
    """Say why an answer gets its score: what each word and feature adds, in each dimension."""
    from trueline.loop import reward_checks
    from trueline.loop.project import Project
    from trueline.records import Exchange, Prompt

    learned = reward_checks.Learned.open(Project.open(project), name)
    found = reward_checks.explain(learned, Exchange.of(Prompt.from_user(prompt), text))
    finish(asdict(found), _told(found, text), as_json=as_json)


def _told(found: Explanation, text: str) -> str:
    blocks = []
    for i, dimension in enumerate(found.attribution.dimensions):
        doubt = "" if found.std is None else f" ± {found.std[i]:.2f}"
        blocks.append(f"{dimension}  {found.scores[i]:+.2f}{doubt}\n{_coloured(text, found.attribution.parts[i])}")
        parts = sorted(found.attribution.parts[i].items(), key=lambda kv: -abs(kv[1]))
        rest = sum(v for _, v in parts[SHOWN:])
        rows = [["average answer", f"{found.attribution.base[i]:+.3f}"]]
        rows += [[_plain(k), f"{v:+.3f}"] for k, v in parts[:SHOWN]]
        if len(parts) > SHOWN:
            rows.append([f"{len(parts) - SHOWN} smaller parts", f"{rest:+.3f}"])
        rows.append(["score", f"{found.scores[i]:+.3f}"])
        blocks.append(table(["part", "adds"], rows))
    if found.unfamiliar:
        blocks.append("This answer is unlike those that the model learned from: do not trust its score.")
    return "\n\n".join(blocks)


def _coloured(text: str, parts: Mapping[str, float]) -> str:
    """Green raises the score and red lowers it, the stronger the more; only on a terminal."""
    from trueline.evaluate.colouring import colour

    if not sys.stdout.isatty():
        return _plain(text)
    pieces = colour(text, parts).pieces
    most = max((abs(p.value) for p in pieces), default=0.0) or 1.0
    shown = []
    for piece in pieces:
        level = round(3 * abs(piece.value) / most)
        code = (None, (2, "32", "31"), (0, "32", "31"), (1, "92", "91"))[level]
        plain = _plain(piece.text)
        shown.append(f"\x1b[{code[0]};{code[1] if piece.value > 0 else code[2]}m{plain}\x1b[0m" if code else plain)
    return "".join(shown)


def _plain(text: str) -> str:
    """Without control characters, which could rewrite the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)

"""trueline reward explain"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, table

if TYPE_CHECKING:
    from trueline.evaluate.explaining import Explainer, Explanation

SHOWN, WIDTH = 12, 60


def explain(
    text: Annotated[str, typer.Argument(help="The answer to explain.")],
    prompt: Annotated[str, typer.Option(help="What it answers.")] = "",
    project: ProjectOption = Path(),
    name: Annotated[
        str, typer.Option(help="A model under rewards/, or a run or a loop: the one that it was trained by.")
    ] = "reward",
    labels: Annotated[int, typer.Option(min=0, max=1000, help="So many labels that moved each score most.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say why an answer gets its score, in each dimension: what each word adds, and which labels moved it."""
    from dataclasses import replace

    from trueline.evaluate.explaining import Explainer
    from trueline.loop.project import Project
    from trueline.records import Exchange, Prompt
    from trueline.reward.lineage import reward_of

    explainer = Explainer.open(reward_of(Project.open(project).folder, name))
    found = explainer.explain(Exchange.of(Prompt.from_user(prompt), text), labels)
    rows = {d: [explainer.told(m, d) for m in each.most] for d, each in (found.labels or {}).items()}
    moving = {d: {"count": each.count, "adds": each.adds, "most": rows[d]} for d, each in (found.labels or {}).items()}
    result = asdict(replace(found, labels=None)) | {"labels": moving or None, "labels_lack": explainer.lacks}
    finish(result, _told(found, text, explainer, rows), as_json=as_json)


def _told(found: Explanation, text: str, explainer: Explainer, labels: Mapping[str, list[dict[str, Any]]]) -> str:
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
        if found.labels is not None:
            moving = found.labels[dimension]
            together = "" if moving.adds is None else f", which together add {moving.adds:+.3f} to the average answer"
            measures = ["likeness"] if moving.adds is None else ["without it", "its share"]
            blocks.append(f"learned from {moving.count} labels{together}")
            if labels[dimension]:
                blocks.append(table([*measures, "who", "what"], [_label(each) for each in labels[dimension]]))
    if explainer.lacks:
        blocks.append(f"Nothing is said of labels: {_plain(explainer.lacks)}.")
    if found.unfamiliar:
        blocks.append("This answer is unlike those that the model learned from: do not trust its score.")
    return "\n\n".join(blocks)


def _label(told: Mapping[str, Any]) -> list[str]:
    """What a label did, who gave it, and about which texts."""
    people = [f"{each['name']}{' (simulated)' if each['simulated'] else ''}{_mark(each)}" for each in told["people"]]
    about = f"to {_short(told['prompt'])}: {_short(told['answer'])}"
    figures = [told["likeness"]] if told["moves"] is None else [-told["moves"], told["adds"]]
    over = f" over {_short(told['other'])}" if told["other"] is not None else ""
    return [*(f"{figure:+.4f}" for figure in figures), _plain(", ".join(people)), about + over]


def _mark(person: Mapping[str, Any]) -> str:
    return f": {person['rating']}" if "rating" in person else f": better by {person['preferred_by']}"


def _short(text: str) -> str:
    from trueline.reward.objective import shorten

    return repr(shorten(_plain(" ".join(text.split())), WIDTH))


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

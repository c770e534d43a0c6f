"""The real sets on which reward models are measured, as snapshots whose prompts say which split they belong to.

Folds go by prompt or conversation; where a set brings its own split, that is kept. Exact duplicates are left out, and
so are held-out texts that stand in the training part too.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating, content_id

GOLD = Annotator("the set's labels")
Turns = Sequence[tuple[str, str]]


def fold_of(name: str, folds: int) -> int:
    return int(content_id("fold", name), 16) % folds


def split_name(name: str, held_out: int, folds: int) -> str:
    """Which split a group is in when one of the folds is held out; the next one is for validation."""
    fold = fold_of(name, folds)
    return "test" if fold == held_out else "validation" if fold == (held_out + 1) % folds else "train"


def prompt(turns: Turns, split: str) -> Prompt:
    return Prompt(tuple(Message(role, text) for role, text in turns), {"split": split})  # type: ignore[arg-type]


def compared(rows: Iterable[tuple[Turns, str, str, str]], dimension: str) -> FeedbackSnapshot:
    """rows: conversation, better answer, worse answer, split."""
    exchanges, comparisons = [], []
    for turns, better, worse, split in rows:
        asked = prompt(turns, split)
        both = Exchange.of(asked, better), Exchange.of(asked, worse)
        ids = [e.completion.id for e in both]
        if ids[0] != ids[1] and better and worse:
            exchanges += both
            comparisons.append(Comparison(*ids, dimension, -2, GOLD))
    return _snapshot(exchanges, (), comparisons)


def rated(rows: Iterable[tuple[Turns, str, Sequence[int], str]], dimension: str) -> FeedbackSnapshot:
    """rows: conversation, answer, ratings (1 to 5), split."""
    exchanges, ratings = [], []
    for turns, answer, values, split in rows:
        e = Exchange.of(prompt(turns, split), answer)
        exchanges.append(e)
        ratings += [Rating(e.completion.id, dimension, v, Annotator(f"rater {i}")) for i, v in enumerate(values)]
    return _snapshot(exchanges, ratings, ())


def _snapshot(
    exchanges: Sequence[Exchange], ratings: Sequence[Rating], comparisons: Sequence[Comparison]
) -> FeedbackSnapshot:
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        tuple(comparisons),
    )


def pku(data: Path, held_out: int, folds: int = 5) -> FeedbackSnapshot:
    """Pairs that stand there in both orders contradict themselves, and are left out on both sides."""
    rows = json.loads((data / "pku_saferlhf/saferlhf_5k.json").read_text("utf-8"))
    found = {(r["prompt"], *r["response"]) for r in rows}
    return compared(
        (
            ([("user", p)], better, worse, split_name(p, held_out, folds))
            for p, better, worse in sorted(found)
            if (p, worse, better) not in found
        ),
        "safety",
    )


def hh(data: Path, held_out: int, folds: int = 5) -> FeedbackSnapshot:
    """By the first human turn."""
    rows = []
    for line in (data / "hh_harmless/harmless-base.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        turns, better = _dialogue(row["chosen"])
        other, worse = _dialogue(row["rejected"])
        if turns == other:
            rows.append((turns, better, worse, split_name(turns[0][1], held_out, folds)))
    return compared(rows, "safety")


def _dialogue(text: str) -> tuple[list[tuple[str, str]], str]:
    turns = []
    for part in text.split("\n\nHuman: ")[1:]:
        asked, *answers = part.split("\n\nAssistant:")
        turns.append(("user", asked.strip()))
        turns += [("assistant", a.strip()) for a in answers]
    return turns[:-1], turns[-1][1]


def helpdesk(data: Path, held_out: int, folds: int = 5) -> FeedbackSnapshot:
    """S, customer satisfaction with the whole dialogue: its last turn is what is rated, whoever said it."""
    rows = []
    for line in (data / "helpdesk/helpdesk_zh.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        turns = [("user" if t["sender"] == "customer" else "assistant", t["text"]) for t in row["turns"]]
        split = split_name(row["id"], held_out, folds)
        rows.append((turns[:-1] or [("user", "")], turns[-1][1], [r["S"] + 3 for r in row["ratings"]], split))
    return rated(rows, "quality")


def diasafety(data: Path, held_out: int = 0, folds: int = 1) -> FeedbackSnapshot:
    """The given files. They share contexts: a space behind a held-out one tells it from the other file's."""
    rows = [_judged(r, "train" if fold_of(r["context"], 20) else "validation") for r in _part(data, "train")]
    held = [_judged({**r, "context": r["context"] + " "}, "test") for r in _part(data, "val")]
    return rated(rows + held, "safety")


def diasafety_apart(data: Path, held_out: int = 0, folds: int = 1) -> FeedbackSnapshot:
    """The given files, without training rows on a held-out context."""
    held = _part(data, "val")
    known = {r["context"] for r in held}
    taught = [r for r in _part(data, "train") if r["context"] not in known]
    rows = [_judged(r, "train" if fold_of(r["context"], 20) else "validation") for r in taught]
    return rated(rows + [_judged(r, "test") for r in held], "safety")


def _part(data: Path, name: str) -> list[dict[str, str]]:
    return list(json.loads((data / f"diasafety/{name}.json").read_text("utf-8")))


def _judged(r: dict[str, str], split: str) -> tuple[Turns, str, list[int], str]:
    return [("user", r["context"])], r["response"], [5 if r["label"] == "Safe" else 1], split


def cold(data: Path, held_out: int = 0, folds: int = 1) -> FeedbackSnapshot:
    """Single texts without a conversation: each has a prompt of its own that says nothing."""
    rows, seen = [], set()
    for name, given in (("dev", "test"), ("train", "train")):
        with (data / f"cold_zh/{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            for r in csv.DictReader(file):
                if r["TEXT"] not in seen:
                    seen.add(r["TEXT"])
                    turns = [("system", content_id(r["TEXT"]))]
                    rows.append((turns, r["TEXT"], [1 if r["label"] == "1" else 5], given))
    return rated(rows, "safety")


def cdconv(data: Path, held_out: int = 0, folds: int = 1) -> FeedbackSnapshot:
    """The given files. They share conversations: a space behind the last turn tells one file's from the other's."""
    rows = []
    for name, given in (("train", "train"), ("dev", "test")):
        for line in (data / f"cdconv_zh/2class_{name}.tsv").read_text("utf-8").splitlines():
            if line.strip():
                u1, b1, u2, b2, label = line.split("\t")
                space = " " if given == "test" else ""
                rows.append(
                    ([("user", u1), ("assistant", b1), ("user", u2 + space)], b2, [1 if label == "1" else 5], given)
                )
    return rated(rows, "consistency")


def taskmaster(number: int) -> Callable[..., FeedbackSnapshot]:
    """By conversation. What an interface said is a turn of the role "system"."""

    def read(data: Path, held_out: int, folds: int = 5) -> FeedbackSnapshot:
        rows = []
        for path in sorted((data / "taskmaster_reward").glob(f"TM-{number}-*.json")):
            for r in json.loads(path.read_text("utf-8")):
                turns = [_turn(m) for m in json.loads(r["context"])]
                answer = _turn(json.loads(r["generation"]))[1]
                split = split_name(r["conversation_id"], held_out, folds)
                rows.append((turns, answer, [5 if r["reward"] > 0.5 else 1], split))
        return rated(rows, "quality")

    return read


def _turn(m: dict[str, Any]) -> tuple[str, str]:
    role = {"agent": "assistant", "user": "user"}.get(m["role"], "system")
    return role, m.get("text") or json.dumps(m.get("api") or m.get("response") or {}, ensure_ascii=False)

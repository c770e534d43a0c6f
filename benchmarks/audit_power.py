"""How often `trueline audit` finds a planted bias, and how often it warns where there is none.

    python benchmarks/audit_power.py [DATA_SETS] [-o FILE]        200 of each kind without a number

A data set: 400 prompts with 4 answers each; of each prompt 2 comparisons (800 in all) and a rating of every answer,
each by one of 6 people drawn by chance. An answer has a quality q ~ N(0, 1), a length, and common words that have
nothing to do with it. P(B preferred to A) = sigmoid(q_B - q_A + bias_B - bias_A); a mark is round(3 + .8 q + prompt +
bias + noise). A planted bias has a standard deviation of .45 logit over the answers; for the side it is a shift of .45.

    length      .45 times the standardised log length
    position    .45 for the left answer
    topic       for answers that hold one of the common words (a quarter do): -.45 / sqrt(.25 * .75)
    flattery    for answers that praise the user (three tenths do): .45 / sqrt(.3 * .7)
    annotator   one of the six marks .45 of the marks' standard deviation (1.2 points) higher

Found: the right finding is a warning or graver, corrected for all tests. False alarm: on clean data anything is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trueline.feedback.audit.audit import bias_tests
from trueline.feedback.audit.findings import Finding
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Completion, Prompt, Rating

SIZE, PROMPTS, ANSWERS, PEOPLE = 0.45, 400, 4, 6
MARK_DEVIATION = 1.2
COMMON = [f"{a}{b}" for a in ("parcel", "refund", "kettle", "window", "garden") for b in ("", "s", "like", "way", "er")]
RARE = [
    f"{a}{b}{c}"
    for a in "bdfgklmnprstvz"
    for b in ("ano", "ili", "ume", "ors")
    for c in "x ko ning del rum sti fen ba ge lo".split()
]
PRAISE = "What a great question!"
KINDS = ("clean", "length", "position", "topic", "flattery", "annotator")
RIGHT: dict[str, Callable[[Finding], bool]] = {
    "clean": lambda f: True,
    "length": lambda f: f.aspect == "length",
    "position": lambda f: f.aspect == "position",
    "topic": lambda f: f.aspect == "topic" and "refund" in f.id.split("/"),
    "flattery": lambda f: f.aspect == "flattery",
    "annotator": lambda f: f.id == "leniency/quality/person 0 (simulated)",
}


def data_set(kind: str, seed: int) -> FeedbackSnapshot:
    rng = np.random.default_rng([67, KINDS.index(kind), seed])
    n = PROMPTS * ANSWERS
    quality, length = rng.normal(0, 1, n), rng.lognormal(2.7, 0.4, n)
    share = np.linspace(0.30, 0.04, len(COMMON))
    share[COMMON.index("refund")] = 0.25
    holds, praises = rng.random((n, len(COMMON))) < share, rng.random(n) < 0.3
    bias = {
        "length": SIZE * (np.log(length) - 2.7) / 0.4,
        "topic": -SIZE * holds[:, COMMON.index("refund")] / np.sqrt(0.25 * 0.75),
        "flattery": SIZE * praises / np.sqrt(0.3 * 0.7),
    }.get(kind, np.zeros(n))
    prompts = [Prompt.from_user(f"question {i} of {seed}") for i in range(PROMPTS)]
    ids = [p.id for p in prompts]
    answers = [
        Completion(ids[i // ANSWERS], _text(rng, i, int(length[i]), holds[i], bool(praises[i])), "simulated")
        for i in range(n)
    ]
    names = [Annotator(f"person {i}", simulated=True) for i in range(PEOPLE)]
    keys, who = [a.id for a in answers], rng.integers(0, PEOPLE, n)
    mood = np.repeat(rng.normal(0, 0.4, PROMPTS), ANSWERS)
    kinder = SIZE * MARK_DEVIATION * (who == 0) if kind == "annotator" else 0.0
    marks = np.clip(np.rint(3 + 0.8 * (quality + bias) + mood + kinder + rng.normal(0, 0.7, n)), 1, 5).astype(int)
    ratings = [Rating(keys[i], "quality", int(marks[i]), names[who[i]]) for i in range(n)]
    order = (np.arange(PROMPTS)[:, None] * ANSWERS + rng.permuted(np.tile(np.arange(ANSWERS), (PROMPTS, 1)), axis=1)).T
    a, b = np.concatenate([order[0], order[2]]), np.concatenate([order[1], order[3]])
    felt = (quality + bias)[b] - (quality + bias)[a] - (SIZE if kind == "position" else 0.0)
    wins = rng.random(len(a)) < 1 / (1 + np.exp(-felt))
    judge = rng.integers(0, PEOPLE, len(a))
    comparisons = [
        Comparison(keys[i], keys[j], "quality", 2 if w else -2, names[k])
        for i, j, w, k in zip(a, b, wins, judge, strict=True)
    ]
    return FeedbackSnapshot(
        dict(zip(ids, prompts, strict=True)), dict(zip(keys, answers, strict=True)), tuple(ratings), tuple(comparisons)
    )


def _text(rng: np.random.Generator, i: int, length: int, holds: np.ndarray, praises: bool) -> str:
    """Praise and common words make a text longer by a little, whatever its drawn length: as they do in life."""
    words = [*(COMMON[j] for j in np.flatnonzero(holds)), *(RARE[j] for j in rng.integers(0, len(RARE), length))]
    return f"{PRAISE + ' ' if praises else ''}{' '.join(words)} {i}"


def warns(kind: str, seed: int) -> bool:
    found = bias_tests(data_set(kind, seed), resamples=100)
    return any(f.severity in ("warning", "serious") and RIGHT[kind](f) for f in found)


def measure(sets: int) -> dict[str, dict[str, float]]:
    """By kind: the share of data sets warned of, with Wilson's 95% interval, and how many there were."""
    from trueline.evaluate.statistics import wilson

    found = {}
    for kind in KINDS:
        share = wilson(sum(warns(kind, seed) for seed in range(sets)), sets)
        found[kind] = {"share": share.value, "low": share.low, "high": share.high, "data_sets": sets}
        print(f"{kind:10} {share.value:.3f}  [{share.low:.3f}, {share.high:.3f}]", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="?", type=int, default=200, metavar="DATA_SETS")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    options = parser.parse_args()
    found = measure(options.sets)
    print(f"{time.process_time():.0f} s of processor time")
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

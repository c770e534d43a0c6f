"""Where a bar is missed: what more labels would bring, as accuracy by the share of the training prompts used.

    python benchmarks/reward_curves.py

Linear models on the answer's words, five folds; writes reward_curves.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import reward_bars as bars
import reward_sets as sets

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import split_of

SHARES = (0.125, 0.25, 0.5, 1.0)
WORDS = {"learn_from": "comparisons", "features": ("words",), "max_features": 50_000}


def thinned(read: Callable[..., FeedbackSnapshot], share: float) -> Callable[..., FeedbackSnapshot]:
    """The same data with a share of its training prompts, and all that is held out."""

    def some(data: Path, fold: int) -> FeedbackSnapshot:
        whole = read(data, fold)
        kept = {
            i: p
            for i, p in whole.prompts.items()
            if split_of(p) == "test" or sets.fold_of("curve" + i, 1000) < 1000 * share
        }
        answers = {i: c for i, c in whole.completions.items() if c.prompt_id in kept}
        comparisons = tuple(c for c in whole.comparisons if c.a_id in answers)
        return FeedbackSnapshot(kept, answers, (), comparisons)

    return some


def main() -> None:
    found = []
    for name, read in (("pku_saferlhf", sets.pku), ("hh_harmless", sets.hh)):
        for share in SHARES:
            row = bars.measure(name, bars.Bar(thinned(read, share), "safety", "accuracy", 0, 5, WORDS), "")
            found.append({"share": share, **{k: row[k] for k in ("set", "value", "low", "high", "n")}})
            print(json.dumps(found[-1]), flush=True)
    (bars.HERE / "reward_curves.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How good reward models are on real sets, by set: `make bench-reward`.

    python benchmarks/reward_bars.py [SET ...] [--encoder FOLDER]

Writes reward.json beside this file: a row a set with metric, value, low, high, n. Data is read from ../shared/data or
$TRUELINE_DATA. The settings of a set were chosen before its test part was scored, but for what docs/rewards.md says.
Without --encoder the sets that need one are left out; an encoder is a Hugging Face folder such as all-MiniLM-L6-v2's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import reward_sets as sets

from trueline.config import RewardConfig, TransformerConfig
from trueline.evaluate.by_prompt import bootstrap_by_prompt
from trueline.evaluate.held_out import score_answers, scored_pairs, scored_ratings
from trueline.evaluate.reward_metrics import auc, pearson
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.reward.registry import new_reward

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("TRUELINE_DATA") or HERE.parents[1] / "shared" / "data")
ENCODER, MIDDLE = "ENCODER", 3.0


@dataclass(frozen=True)
class Bar:
    """folds: how many are held out in turn, of 5; config: the reward's settings, ENCODER for the encoder's folder."""

    read: Callable[..., FeedbackSnapshot]
    dimension: str
    metric: str
    reach: float
    folds: int = 1
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> bool:
        return ENCODER in json.dumps(self.config)


def tuned(max_tokens: int, epochs: float = 3, **more: Any) -> dict[str, Any]:
    """A pretrained encoder, fine-tuned with the default settings."""
    transformer = {"model": ENCODER, "max_tokens": max_tokens, "epochs": epochs}
    return {"kind": "transformer", "transformer": transformer, **more}


PAIRS = {"learn_from": "comparisons"}
DEFAULT = {"max_features": 50_000}
TURNS = {**DEFAULT, "features": ("words", "characters", "prompt", "style")}
BARS = {
    "pku_saferlhf": Bar(sets.pku, "safety", "accuracy", 0.75, 1, tuned(160, **PAIRS)),
    "hh_harmless": Bar(sets.hh, "safety", "accuracy", 0.65, 5, {**PAIRS, "embedding": ENCODER}),
    "helpdesk_zh": Bar(sets.helpdesk, "quality", "pearson", 0.80, 5, TURNS),
    "diasafety": Bar(sets.diasafety, "safety", "auc", 0.88, 1, tuned(96)),
    "diasafety_apart": Bar(sets.diasafety_apart, "safety", "auc", 0.88, 1, tuned(96)),
    "cold_zh": Bar(sets.cold, "safety", "auc", 0.89, 1, {"features": ("words", "characters"), "max_features": 100_000}),
    "cdconv_zh": Bar(sets.cdconv, "consistency", "accuracy of the label", 0.72, 1, DEFAULT),
    "taskmaster_3": Bar(sets.taskmaster(3), "quality", "auc", 0.92, 5, {"embedding": ENCODER}),
    "taskmaster_4": Bar(sets.taskmaster(4), "quality", "auc", 0.87, 5, {"embedding": ENCODER}),
}
BY_NAME = {"diasafety_apart"}
"""No bar, but another look at one, which takes longest: measured where it is named."""


def measure(name: str, bar: Bar, encoder: str) -> dict[str, Any]:
    """The folds' held-out labels together, each scored by the model that has not seen it."""
    given = json.loads(json.dumps(bar.config).replace(ENCODER, encoder.replace("\\", "/")))
    transformer = TransformerConfig(**given.pop("transformer", {}))
    started, prompts, score, truth = time.monotonic(), [], [], []
    for fold in range(bar.folds):
        snapshot = bar.read(DATA, fold)
        model = new_reward(RewardConfig(transformer=transformer, **given), (bar.dimension,))
        model.fit(snapshot)
        test = snapshot.split("test")
        answers = score_answers(model, test)
        if bar.metric == "accuracy":
            pairs = scored_pairs(answers, test, bar.dimension)
            prompts += pairs.prompts
            score += (pairs.margin * pairs.preference).tolist()
            truth += [1.0] * len(pairs.prompts)
        else:
            found = scored_ratings(answers, test, bar.dimension)
            prompts += found.prompts
            score += _levelled(bar, model, found.score).tolist()
            truth += found.raw.tolist()
    x, y = np.array(score), np.array(truth)
    statistic: dict[str, Callable[[np.ndarray], float]] = {
        "accuracy": lambda r: float(np.mean(x[r] > 0)),
        "pearson": lambda r: pearson(x[r], y[r]),
        "auc": lambda r: auc(x[r], y[r] > 3),
        "accuracy of the label": lambda r: float(np.mean((x[r] > 0) == (y[r] > 3))),
    }
    found = bootstrap_by_prompt(prompts, statistic[bar.metric])
    assert found is not None
    return {
        "set": name,
        "metric": bar.metric,
        "value": round(found.value, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "n": len(x),
        "reach": bar.reach,
        "kind": given.get("kind", "linear"),
        "folds": bar.folds,
        "seconds": round(time.monotonic() - started),
    }


def _levelled(bar: Bar, model: Any, score: np.ndarray) -> np.ndarray:
    """For a label, the score less that of an answer whose predicted rating is the middle of the two labels' ratings."""
    if bar.metric != "accuracy of the label":
        return score
    scale = model.fitted().scale
    return score - (MIDDLE - scale.centre[0]) / scale.spread[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(BARS)}")
    parser.add_argument("--encoder", default=os.environ.get("TRUELINE_ENCODER", ""))
    given = parser.parse_args()
    target = HERE / "reward.json"
    table = {row["set"]: row for row in json.loads(target.read_text())} if target.exists() else {}
    for name in given.sets or [name for name in BARS if name not in BY_NAME]:
        bar = BARS[name]
        if bar.encoder and not given.encoder:
            print(f"{name}: needs --encoder", flush=True)
            continue
        table[name] = measure(name, bar, given.encoder)
        print(json.dumps(table[name]), flush=True)
        target.write_text(json.dumps([table[n] for n in BARS if n in table], indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What the safety gate of a served model catches, and what it refuses for nothing, on labelled replies it never saw.

    python benchmarks/gate.py [ROW ...] [--encoder FOLDER]

The gate is what `trueline serve --gate` builds: a reward model of the training labels, and the border that is fitted on
folds of these. Held-out replies are those of the sets' own files (DiaSafety's val, COLD's dev). Writes gate.json beside
this file: for each P(bad) over which an answer is refused, the share of unsafe replies refused and that of safe ones,
with 95% intervals by prompt. The limits were not chosen by these figures; 0.5 is the default.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import reward_sets as sets
from reward_bars import BARS, DATA, ENCODER

from trueline.config import RewardConfig, TransformerConfig
from trueline.evaluate.by_prompt import bootstrap_by_prompt
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.reward.border import fit_border
from trueline.reward.registry import new_reward
from trueline.serving.gate import Bad, Gate

HERE = Path(__file__).resolve().parent
LIMITS = (0.3, 0.5, 0.7)
WORST_GOOD = 2.0


@dataclass(frozen=True)
class Row:
    """read: the labelled replies; config: the reward's settings, ENCODER for the encoder's folder."""

    read: Callable[[Path], FeedbackSnapshot]
    config: dict[str, Any]


ROWS = {
    "diasafety linear": Row(sets.diasafety, {"max_features": 50_000}),
    "diasafety transformer": Row(sets.diasafety, BARS["diasafety"].config),
    "cold_zh linear": Row(sets.cold, BARS["cold_zh"].config),
}


def measure(row: Row, encoder: str) -> dict[str, Any]:
    given = json.loads(json.dumps(row.config).replace(ENCODER, encoder.replace("\\", "/")))
    transformer = TransformerConfig(**given.pop("transformer", {}))
    config = RewardConfig(transformer=transformer, **given)
    snapshot = row.read(DATA)
    model = new_reward(config, ("safety",))
    model.fit(snapshot)
    border = fit_border(lambda: new_reward(config, ("safety",)), snapshot, "safety", WORST_GOOD)
    test = snapshot.split("test")
    exchanges = [test.exchange(r.completion_id) for r in test.ratings]
    unsafe = np.array([(r.value or 0) <= WORST_GOOD for r in test.ratings])
    chance = Gate.of((), Bad(model, border, 0.5)).answers(exchanges).bad
    assert chance is not None
    return {
        "unsafe": int(unsafe.sum()),
        "safe": int((~unsafe).sum()),
        "calibration": [_calibration(chance, unsafe), float(unsafe.mean()), float(chance.mean())],
        "limits": {str(limit): _shares(chance > limit, unsafe, [e.prompt.id for e in exchanges]) for limit in LIMITS},
    }


def _shares(refused: np.ndarray, unsafe: np.ndarray, prompts: list[str]) -> dict[str, list[float]]:
    found = {}
    for name, rows in (("unsafe caught", np.flatnonzero(unsafe)), ("safe refused", np.flatnonzero(~unsafe))):
        hit = refused[rows]
        share = bootstrap_by_prompt([prompts[i] for i in rows], lambda r, hit=hit: float(hit[r].mean()))
        assert share is not None
        found[name] = [round(v, 4) for v in (share.value, share.low, share.high)]
    return found


def _calibration(chance: np.ndarray, unsafe: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Naeini et al. 2015)."""
    which = np.minimum((chance * bins).astype(int), bins - 1)
    gaps = [abs(chance[which == b].sum() - unsafe[which == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(chance))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--encoder", default=os.environ.get("TRUELINE_ENCODER", ""))
    given = parser.parse_args()
    target = HERE / "gate.json"
    table = json.loads(target.read_text()) if target.exists() else {}
    for name in given.rows or list(ROWS):
        row = ROWS[name]
        if ENCODER in json.dumps(row.config) and not given.encoder:
            print(f"{name}: needs --encoder", flush=True)
            continue
        table[name] = measure(row, given.encoder)
        print(name, json.dumps(table[name]), flush=True)
        target.write_text(json.dumps({n: table[n] for n in ROWS if n in table}, indent=1) + "\n")


if __name__ == "__main__":
    main()

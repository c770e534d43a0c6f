"""Each rule of the strategy by itself: a loop that starts where the rule is wanted, with it and without any.

    python benchmarks/rules.py [RULE ...] [--seeds 1] [--out FOLDER]

Two rounds, or three, on the customer-service scenario. Both loops have the same first round; after it one may use this
rule alone, and the other goes on as it was. Figures are the scenario's truth on held-out prompts after the last round.
Writes rules.json beside this file (a rule that is not named keeps its row): whether the rule was applied, both loops'
figures, and whether what it expected came true.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trueline.config import Config, render
from trueline.loop.rules import RULES

HERE = Path(__file__).parent
METRICS = ("quality", "safety", "consistency", "unsafe_share", "win_rate", "kl")
SMALL: dict[str, Any] = {
    "collect": {"prompts": 120, "prompts_later": 60},
    "align": {"steps": 20, "workers": 1},
    "evaluate": {"prompts": 300},
    "loop": {"rounds": 2},
}
# What makes each rule wanted; everything else is the default.
WANTED: dict[str, dict[str, Any]] = {
    "hold back": {"align": {"kl": {"coefficient": 0.02}, "learning_rate": 8e-4}, "loop": {"most_kl": 3.0}},
    "calm": {"align": {"learning_rate": 5e-3}},
    "guard": {"objective": {"weights": {"quality": 1.0, "safety": 0.0, "consistency": 1.0}}},
    "explore": {"policy": {"temperature": 0.1}},
    "leave the critic": {
        "align": {"algorithm": "ppo", "steps": 30, "ppo": {"value_coefficient": 1e-6, "critic_warmup": 0}}
    },
    # Style alone orders the first answers well enough, and those of an aligned policy no longer: hence a third round.
    "ask more": {"reward": {"features": ("style",)}, "loop": {"rounds": 3}},
    "press on": {"align": {"learning_rate": 1e-4}},
    "loosen": {"align": {"kl": {"coefficient": 30.0}}},
}


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            found[name] = merged(found.get(name, {}), value) if isinstance(value, dict) else value
    return found


def run(rule: str, seed: int, allowed: bool, out: Path) -> dict[str, Any]:
    others = [name for name in RULES if name != rule]
    steering = {"project": {"seed": seed}, "loop": {"steer": allowed, "forbid": others}}
    folder = out / f"{rule.replace(' ', '-')}-{seed}-{'with' if allowed else 'without'}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trueline.toml").write_text(render(Config.model_validate(merged(SMALL, WANTED[rule], steering))))
    loop = folder / "runs" / "l"
    if not (loop / "report" / "report.json").exists():
        command = [sys.executable, "-m", "trueline", "loop", "-p", str(folder), "--name", "l"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    decisions = [json.loads(p.read_text()) for p in sorted(loop.glob("round-*/decision.json"))]
    metrics = json.loads((loop / "report" / "report.json").read_text())["metrics"]
    return {
        **{m: [metrics[m]["after"][k] for k in ("value", "low", "high")] for m in METRICS if m in metrics},
        "promoted": [d["round"] for d in decisions if d["promoted"]],
        "decisions": decisions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="*", default=list(WANTED), metavar="RULE")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "trueline-rules")
    parser.add_argument("--at-once", type=int, default=2)
    given = parser.parse_args()
    cases = [(rule, seed, allowed) for rule in given.rules for seed in range(given.seeds) for allowed in (True, False)]
    with ThreadPoolExecutor(given.at_once) as pool:
        found = list(pool.map(lambda case: run(*case, given.out), cases))
    rows = [
        {"rule": rule, "seed": seed, "with": found[i], "without": found[i + 1]}
        for i, (rule, seed, allowed) in enumerate(cases)
        if allowed
    ]
    kept = HERE / "rules.json"
    others = [r for r in json.loads(kept.read_text()) if r["rule"] not in given.rules] if kept.exists() else []
    kept.write_text(json.dumps(sorted([*others, *rows], key=lambda r: list(WANTED).index(r["rule"])), indent=1) + "\n")
    for row in rows:
        print(row["rule"], row["seed"], [c["rule"] for d in row["with"]["decisions"] for c in d["changes"]])
        for name in METRICS:
            with_, without = (row[k].get(name, [float("nan")])[0] for k in ("with", "without"))
            print(f"    {name:13s} {with_:.3f} with it, {without:.3f} without")


if __name__ == "__main__":
    main()

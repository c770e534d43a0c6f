"""Safety as a constraint beside a fixed weight, on the customer-service scenario: the true share of unsafe answers.

    python benchmarks/constraint.py [--seeds 5] [--out FOLDER] [--limit 0.05]

Three objectives, the same learned reward (its labels are of simulated annotators), as many training seeds each: quality
and consistency alone; with safety at weight 1; quality and consistency under a constraint on safety. After training 300
held-out prompts are answered; the truth counts. Writes constraint.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from trueline.config import (
    AlignConfig,
    CollectConfig,
    Config,
    ConstraintConfig,
    EvaluateConfig,
    ObjectiveConfig,
    ProjectConfig,
    render,
)

HERE = Path(__file__).parent
WITHOUT = {"quality": 1.0, "safety": 0.0, "consistency": 1.0}
KEPT = ("unsafe_share", "quality", "consistency", "kl")


def trueline(*words: object) -> None:
    command = [sys.executable, "-m", "trueline", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0.05)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "trueline-constraint")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    cases = {
        "constraint": (WITHOUT, "safety"),
        "weight 1": (WITHOUT | {"safety": 1.0}, ""),
        "no safety": (WITHOUT, ""),
    }
    rows = []
    for name, (weights, held) in cases.items():
        for seed in range(given.seeds):
            constraint = ConstraintConfig(dimension=held, limit=given.limit)
            config = Config(
                project=ProjectConfig(seed=seed),
                collect=CollectConfig(prompts=200),
                objective=ObjectiveConfig(weights=weights),
                align=AlignConfig(constraint=constraint, workers=1, steps=40, check_every=0),
                evaluate=EvaluateConfig(prompts=300),
            )
            (given.out / "trueline.toml").write_text(render(config))
            run = given.out / "runs" / f"{name.replace(' ', '-')}-{seed}"
            if not (given.out / "rewards" / "reward").exists():
                trueline("collect", "-p", given.out)
                trueline("reward", "-p", given.out)
            if not (run / "report" / "report.json").exists():
                if not (run / "policy").exists():
                    trueline("align", "-p", given.out, "--name", run.name)
                trueline("evaluate", run, "-p", given.out)
            metrics = json.loads((run / "report" / "report.json").read_text())["metrics"]
            last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
            found = {m: metrics[m]["after"]["value"] for m in KEPT}
            rows.append({"objective": name, "seed": seed, **found, "multiplier": last.get("multiplier")})
            print(json.dumps(rows[-1]), flush=True)
    (HERE / "constraint.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

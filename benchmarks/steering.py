"""A loop that steers itself beside the same loop at fixed settings, on the customer-service scenario.

    python benchmarks/steering.py [--seeds 3] [--rounds 4] [--out FOLDER] [--small]

The grid is KL coefficient by learning rate. All have the same labels, samples and steps, and the same simulated, noisy
and biased annotators; quality and the share of unsafe answers are the scenario's truth, on held-out prompts, of the
policy that the loop stands by. Writes steering.json beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from trueline.config import (
    AlignConfig,
    CollectConfig,
    Config,
    EvaluateConfig,
    KLConfig,
    LoopConfig,
    ProjectConfig,
    render,
)

HERE = Path(__file__).parent
KL, RATES = (0.02, 0.1), (2e-4, 8e-4)


def config(seed: int, kl: float, rate: float, *, steer: bool, small: bool, rounds: int) -> Config:
    collect = CollectConfig(prompts=120, prompts_later=60) if small else CollectConfig()
    align = AlignConfig(kl=KLConfig(coefficient=kl), learning_rate=rate, workers=1, steps=20 if small else 30)
    return Config(
        project=ProjectConfig(seed=seed),
        collect=collect,
        align=align,
        evaluate=EvaluateConfig(prompts=300),
        loop=LoopConfig(rounds=rounds, steer=steer),
    )


def run(name: str, made: Config, out: Path) -> dict[str, object]:
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trueline.toml").write_text(render(made))
    loop = folder / "runs" / "l"
    if not (loop / "report" / "report.json").exists():
        command = [sys.executable, "-m", "trueline", "loop", "-p", str(folder), "--name", "l"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    metrics = json.loads((loop / "report" / "report.json").read_text())["metrics"]
    decisions = [json.loads(p.read_text()) for p in sorted(loop.glob("round-*/decision.json"))]
    return {
        **{m: metrics[m]["after"]["value"] for m in ("quality", "safety", "consistency", "unsafe_share")},
        "rounds": len(decisions),
        "promoted": [d["round"] for d in decisions if d["promoted"]],
        "changes": [[c["rule"], c["setting"], c["before"], c["after"]] for d in decisions for c in d["changes"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "trueline-steering")
    parser.add_argument("--small", action="store_true", help="fewer labels and steps: minutes, not hours")
    parser.add_argument("--at-once", type=int, default=2)
    given = parser.parse_args()
    cases = []
    for seed in range(given.seeds):
        for kl, rate in itertools.product(KL, RATES):
            made = config(seed, kl, rate, steer=False, small=given.small, rounds=given.rounds)
            cases.append((f"kl {kl:g} rate {rate:g}", seed, made))
        default = config(seed, 0.05, 4e-4, steer=True, small=given.small, rounds=given.rounds)
        cases.append(("steered", seed, default))
    with ThreadPoolExecutor(given.at_once) as pool:
        found = list(pool.map(lambda c: run(f"{c[0].replace(' ', '_')}-seed{c[1]}", c[2], given.out), cases))
    rows = [{"setting": name, "seed": seed, **result} for (name, seed, _), result in zip(cases, found, strict=True)]
    (HERE / "steering.json").write_text(json.dumps(rows, indent=1) + "\n")
    for name in dict.fromkeys(r["setting"] for r in rows):
        own = [r for r in rows if r["setting"] == name]
        quality, unsafe = (np.array([r[m] for r in own]) for m in ("quality", "unsafe_share"))
        print(f"{name:22s} quality {quality.mean():.4f} ({quality.std():.4f})  unsafe {100 * unsafe.mean():.2f}%")


if __name__ == "__main__":
    main()

"""Learning curves of every algorithm on the customer-service scenario, over 5 seeds.

    python benchmarks/learning_curves.py [ALGORITHM ...]

One round each, with the default settings: 400 prompts labelled by simulated annotators, a reward learned from them, 30
steps. The seeds of an algorithm differ in annotators, prompts and sampling; the algorithms of a seed share them.
Writes learning_curves.json beside this file, and a picture for each page of docs/algorithms. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from trueline.align.algorithms import ALGORITHMS
from trueline.align.journal import read_metrics
from trueline.config import AlignConfig, Config, ProjectConfig
from trueline.loop.fitting import fit_stage
from trueline.loop.project import Project
from trueline.loop.stages import collect_stage, continue_align, start_align, teaching_parts

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "algorithms"
SHOWN = {"consistent_share": ("consistent", "#0f766e"), "unsafe_share": ("unsafe", "#b91c1c")}
WIDTH, HEIGHT, LEFT, TOP, FOOT = 560, 260, 46, 18, 34


def run(folder: Path, algorithm: str, seed: int) -> list[dict[str, Any]]:
    """The steps of one run; labels and reward are made once a seed."""
    align = AlignConfig(algorithm=algorithm, watch_every=5)
    project = Project(folder / f"seed-{seed}", Config(project=ProjectConfig(seed=seed), align=align))
    home = project.folder
    home.mkdir(parents=True, exist_ok=True)
    prompts = project.config.collect.prompts
    snapshot = collect_stage(project, project.base_policy, prompts, seed, 1, home / "snapshot.jsonl")
    taught, _ = teaching_parts(project, snapshot)
    fit_stage(taught, project.config, home / "reward")
    start_align(project, home / algorithm, project.base_policy, home / "reward", seed, taught)
    continue_align(home / algorithm)
    return read_metrics(home / algorithm)


def curves(runs: list[list[dict[str, Any]]], name: str) -> tuple[list[int], np.ndarray]:
    """Steps at which every run has the figure, and (runs, steps) of it."""
    steps = [row["step"] for row in runs[0] if name in row]
    return steps, np.array([[row[name] for row in rows if name in row] for rows in runs])


def picture(runs: list[list[dict[str, Any]]]) -> str:
    """An SVG: the mean over seeds as a line, the least and greatest as a band."""
    last = max(row["step"] for row in runs[0])

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - 90) * (step - 1) / (last - 1)

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - FOOT) * (1 - share)

    head = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [f'<svg {head} font-family="sans-serif" font-size="12">']
    grey = 'text-anchor="middle" fill="#64748b"'
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}H{x(last):.1f}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end" fill="#64748b">{share:.0%}</text>')
    for step in (1, *range(10, last + 1, 10)):
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - 14}" {grey}>{step}</text>')
    parts.append(f'<text x="{x(last / 2):.1f}" y="{HEIGHT - 1}" {grey}>training step</text>')
    for name, (label, colour) in SHOWN.items():
        steps, values = curves(runs, name)
        low, high, mean = values.min(0), values.max(0), values.mean(0)
        there = [f"{x(s):.1f},{y(v):.1f}" for s, v in zip(steps, high, strict=True)]
        back = [f"{x(s):.1f},{y(v):.1f}" for s, v in zip(steps, low, strict=True)][::-1]
        line = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(steps, mean, strict=True))
        parts.append(f'<polygon points="{" ".join(there + back)}" fill="{colour}" fill-opacity=".15"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x(last) + 8:.1f}" y="{y(mean[-1]) + 4:.1f}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithms", nargs="*", default=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=HERE / ".curves")
    options = parser.parse_args()
    target = HERE / "learning_curves.json"
    table = json.loads(target.read_text()) if target.exists() else {}
    for algorithm in options.algorithms:
        runs = [run(options.work, algorithm, seed) for seed in range(options.seeds)]
        table[algorithm] = {"seeds": options.seeds}
        for name in (*SHOWN, "true_quality", "kl"):
            _, values = curves(runs, name)
            ends = values[:, -5:].mean(1) if values.shape[1] >= 30 else values[:, -1]
            table[algorithm][name] = {"start": values[:, 0].mean(), "end": ends.mean(), "ends": ends.tolist()}
        seconds = [row["seconds_rollout"] + row["seconds_update"] for rows in runs for row in rows]
        table[algorithm]["seconds_a_step"] = float(np.median(seconds))
        (PICTURES / f"{algorithm}.svg").write_text(picture(runs))
        target.write_text(json.dumps(table, indent=1) + "\n")
        print(algorithm, json.dumps(table[algorithm]), flush=True)


if __name__ == "__main__":
    main()

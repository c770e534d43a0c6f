"""The Ray engine beside the local one, and how slow rollouts scale with its workers.

    python benchmarks/ray_engine.py [overhead] [scaling] [--steps 8]

overhead: a run of RLOO on the 15 M model of sizes.py with two workers, here and on a Ray of its own, the same samples;
the median seconds of a step, as the runs' own journals tell them, the first step left out. scaling: answers a second
from samplers and scorers whose judge sleeps a quarter of a second or a whole one for each answer, as a program that is
run or another model over a network would; one, two and eight of each, on however few cores there are. Writes
ray_engine.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sizes

from trueline.align.actor import Actor
from trueline.align.answers import Request
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judge, Judgement
from trueline.align.trainer import AlignTask, align
from trueline.config import AlignConfig, Config, KLConfig, PolicyConfig, RayConfig
from trueline.engines.ray.cluster import cluster, import_ray
from trueline.engines.ray.engine import run
from trueline.engines.ray.fleet import Fleet, weights_of
from trueline.policy.load import Policy, save_policy
from trueline.records import Exchange, Prompt

HERE = Path(__file__).parent
SLEEPS = (0.25, 1.0)
Row = dict[str, float | int | str]


def task(folder: Path, name: str, steps: int, workers: int, judge: object) -> AlignTask:
    save_policy(Policy(sizes.model(name), sizes.tokenizer(name), name), folder)
    config = Config(
        policy=PolicyConfig(max_new_tokens=sizes.NEW_TOKENS),
        align=AlignConfig(
            steps=steps,
            prompts_per_step=sizes.ANSWERS // sizes.GROUP,
            samples_per_prompt=sizes.GROUP,
            learning_rate=sizes.LEARNING_RATE,
            workers=workers,
            check_every=0,
            kl=KLConfig(coefficient=sizes.KL),
            ray=RayConfig(judges=max(1, workers // 2)),
        ),
    )
    prompts = [Prompt.from_user(text) for text in sizes.prompts(name)]
    return AlignTask(str(folder), str(folder), prompts, judge, config, 0)  # type: ignore[arg-type]


def overhead(steps: int) -> list[Row]:
    def judge(exchanges: Sequence[Exchange]) -> Judgement:
        rewards = [float(np.mean([int(w[1:]) % 2 == 0 for w in e.completion.text.split()] or [0])) for e in exchanges]
        return Judgement(np.array(rewards), {"reward": float(np.mean(rewards))})

    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        given = task(here / "model", "15M", steps, 2, judge)
        started = time.monotonic()
        align(given, here / "local")
        between = time.monotonic()
        run(given, here / "ray")
        whole = {"local": between - started, "ray": time.monotonic() - between}
        rows: list[Row] = []
        for name in ("local", "ray"):
            found = read_metrics(here / name)[1:]
            parts = {k: statistics.median(r[k] for r in found) for k in ("seconds_rollout", "seconds_update")}
            rows.append({"part": "overhead", "engine": name, **parts, "step": sum(parts.values()), "run": whole[name]})
    return rows


def sleeper(seconds: float) -> Judge:
    def judge(exchanges: Sequence[Exchange]) -> Judgement:
        time.sleep(seconds * len(exchanges))
        return Judgement(np.zeros(len(exchanges)), {"reward": 0.0})

    return judge


def scaling() -> list[Row]:
    ray = import_ray()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch, cluster("", 16):
        for workers in (1, 2, 8):
            given = task(Path(scratch) / "model", "0.9M", 1, workers, None)
            settings = given.config.align.model_copy(update={"ray": RayConfig(judges=workers)})
            given = AlignTask(
                given.policy,
                given.reference,
                given.prompts,
                _none,
                given.config.model_copy(update={"align": settings}),
                0,
            )
            half = {"CPU": 0.5}
            fleet = Fleet.start(given, ray.put(tuple(map(sleeper, SLEEPS))), half, half)
            weights = weights_of(Actor.new(Policy(sizes.model("0.9M"), sizes.tokenizer("0.9M"), "0.9M")))
            request = Request(given.prompts[:16], given.config.policy, sizes.GROUP, ("scaling",))
            fleet.finish(fleet.begin(weights, request, 0))
            for which, slept in enumerate(SLEEPS):
                started = time.monotonic()
                answers, _ = fleet.finish(fleet.begin(weights, request, which))
                rate = len(answers.groups) / (time.monotonic() - started)
                rows.append({"part": "scaling", "workers": workers, "slept": slept, "answers_per_second": rate})
    return rows


def _none(exchanges: Sequence[Exchange]) -> Judgement:
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="overhead, scaling; both where none is named")
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    parts = given.parts or ["overhead", "scaling"]
    rows = (overhead(given.steps) if "overhead" in parts else []) + (scaling() if "scaling" in parts else [])
    target = HERE / "ray_engine.json"
    kept = [r for r in json.loads(target.read_text()) if r["part"] not in parts] if target.exists() else []
    target.write_text(json.dumps([*kept, *rows], indent=1) + "\n")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()

"""Training runs: they learn, they resume bit for bit after SIGKILL, and they stop on a bad reward."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from trueline.align.experience import Judgement
from trueline.align.trainer import AlignTask, align, read_metrics, step_prompts
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.errors import InputError, RunError
from trueline.records import Prompt

PROMPTS = [Prompt.from_user(f"order {n} kettle broken") for n in range(12, 40)]


def judge_length(exchanges):
    """Rewards short answers: something that any policy can learn."""
    rewards = np.array([-len(e.completion.text) / 10 for e in exchanges])
    return Judgement(rewards, {"reward": float(rewards.mean()), "eos_share": 0.0})


def task(folder, algorithm="rloo", steps=4, judge=judge_length, **settings):
    config = Config(
        policy=PolicyConfig(max_new_tokens=12),
        align=AlignConfig(**{"algorithm": algorithm, "steps": steps, "prompts_per_step": 4, "threads": 1, **settings}),
    )
    return AlignTask(str(folder), str(folder), PROMPTS, judge, config, seed=3)


def weights(folder: Path):
    return (folder / "policy" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_training_raises_the_reward(tiny_folder, tmp_path, algorithm):
    settings = {"learning_rate": 1e-2, "prompts_per_step": 8, "kl": {"coefficient": 0.001}, "ppo": {"critic_warmup": 2}}
    align(task(tiny_folder, algorithm, steps=40, **settings), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [r["step"] for r in rows] == list(range(1, 41))
    start, end = (np.mean([r["reward"] for r in part]) for part in (rows[:4], rows[-4:]))
    assert end > start + 0.3
    assert rows[-1]["kl"] > rows[0]["kl"] + 0.05
    assert abs(rows[0]["kl"]) < 1e-4
    assert max(r["ratio_gap"] for r in rows) < 1e-3


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_micro_batches_change_nothing(tiny_folder, tmp_path, algorithm):
    for size in (16, 3):
        align(task(tiny_folder, algorithm, steps=2, micro_batch=size, ppo={"critic_warmup": 0}), tmp_path / str(size))
    a, b = (load_file(tmp_path / str(size) / "policy" / "model.safetensors") for size in (16, 3))
    for name in a:
        np.testing.assert_allclose(a[name].numpy(), b[name].numpy(), atol=2e-5)


def test_a_nan_reward_stops_the_run_and_loses_nothing(tiny_folder, tmp_path):
    calls = []

    def judge(exchanges):
        calls.append(1)
        if len(calls) == 3:
            raise RunError("reward is NaN for the answer 'x'")
        return judge_length(exchanges)

    with pytest.raises(RunError, match="NaN"):
        align(task(tiny_folder, judge=judge), tmp_path / "run")
    assert [r["step"] for r in read_metrics(tmp_path / "run")] == [1, 2]
    align(task(tiny_folder), tmp_path / "run")
    align(task(tiny_folder), tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_cut_checkpoint_is_named(tiny_folder, tmp_path):
    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align(task(tiny_folder), tmp_path / "run", stop)
    target = tmp_path / "run" / "checkpoints" / "step-000001" / "weights.safetensors"
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(InputError, match=r"step-000001.*not a whole checkpoint"):
        align(task(tiny_folder), tmp_path / "run")


def test_every_prompt_comes_once_in_each_pass():
    n = len(PROMPTS)
    seen = [p.id for step in range(n) for p in step_prompts(PROMPTS, step, 3, seed=0)]
    for i in range(3):
        assert sorted(seen[i * n : (i + 1) * n]) == sorted(p.id for p in PROMPTS)
    assert seen[:n] != seen[n : 2 * n]


RUNNER = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
from test_trainer import align, task
align(task(Path({model!r}), {algorithm!r}, steps=8, ppo={{"critic_warmup": 2}}), Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_killed_at_random_moments_a_run_ends_in_the_same_weights(tiny_folder, tmp_path, algorithm):
    """SIGKILL at 5 random moments, then to the end: the same bytes as a run that was left alone."""
    code = RUNNER.format(here=str(Path(__file__).parent), model=str(tiny_folder), algorithm=algorithm)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(folder):
        return subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment)

    assert start(tmp_path / "whole").wait() == 0
    rng, killed = random.Random(5), 0
    while killed < 5:
        process = start(tmp_path / "killed")
        journal = tmp_path / "killed" / "metrics.jsonl"
        seen = journal.stat().st_mtime_ns if journal.exists() else 0
        while process.poll() is None and (not journal.exists() or journal.stat().st_mtime_ns == seen):
            time.sleep(0.005)
        time.sleep(rng.random() * 0.25)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        if (tmp_path / "killed" / "policy").exists():
            (tmp_path / "killed" / "policy").rename(tmp_path / f"early-{killed}")
    assert start(tmp_path / "killed").wait() == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))

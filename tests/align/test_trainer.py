"""Training runs: they learn, they resume bit for bit after SIGKILL, and they stop on a bad reward."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import answer
from trueline.align.experience import step_items
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement
from trueline.align.offline import Labelled, standardised
from trueline.align.trainer import AlignTask, align
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.errors import InputError, RunError
from trueline.policy.load import load_policy
from trueline.records import Exchange, Prompt

WORDS = "order kettle lamp broken late refund hello thanks we will send a new one today".split()
PROMPTS = [Prompt.from_user(f"order {n} kettle broken") for n in range(12, 40)]


def judge_length(exchanges):
    """Rewards short answers: something that any policy can learn."""
    rewards = np.array([-len(e.completion.text) / 10 for e in exchanges])
    return Judgement(rewards, {"reward": float(rewards.mean()), "eos_share": 0.0})


def labelled(n=24):
    """Answers of one to six words with the reward of judge_length, and pairs of a short and a long one."""
    texts = [" ".join(WORDS[i % len(WORDS) :][: 1 + i % 6]) for i in range(n)]
    exchanges = [Exchange.of(PROMPTS[i % len(PROMPTS)], text) for i, text in enumerate(texts)]
    answers = [(Labelled(e, float(judge_length([e]).rewards[0])),) for e in exchanges]
    pairs = [
        (Labelled(Exchange.of(p, WORDS[i]), 1.0), Labelled(Exchange.of(p, " ".join(WORDS[i : i + 6])), 0.0))
        for i, p in enumerate(PROMPTS[:8])
    ]
    return {"ilql": standardised(answers), "dpo": pairs}


def task(folder, algorithm="rloo", steps=4, judge=judge_length, **settings):
    config = Config(
        policy=PolicyConfig(max_new_tokens=12),
        align=AlignConfig(**{"algorithm": algorithm, "steps": steps, "prompts_per_step": 4, "workers": 1, **settings}),
    )
    return AlignTask(str(folder), str(folder), PROMPTS, judge, config, 3, labelled().get(algorithm, ()))


def weights(folder: Path):
    """The policy's bytes, those of its Q heads too."""
    return {path.name: path.read_bytes() for path in (folder / "policy").glob("*.safetensors")}


@pytest.mark.parametrize("algorithm", ["rloo", "reinforce", "grpo", "ppo", "q_learning"])
def test_training_raises_the_reward(tiny_folder, tmp_path, algorithm):
    settings = {
        "learning_rate": 1e-2,
        "prompts_per_step": 8,
        "kl": {"coefficient": 0.001},
        "ppo": {"critic_warmup": 2},
        "q_learning": {"warmup": 2},
    }
    align(task(tiny_folder, algorithm, steps=40, **settings), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [r["step"] for r in rows] == list(range(1, 41))
    start, end = (np.mean([r["reward"] for r in part]) for part in (rows[:4], rows[-4:]))
    assert end > start + 0.3
    assert rows[-1]["kl"] > rows[0]["kl"] + 0.05
    assert abs(rows[0]["kl"]) < 1e-4
    assert max(r["ratio_gap"] for r in rows) < 1e-3


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_micro_batches_change_nothing(tiny_folder, tmp_path, algorithm):
    for size in (16, 3):
        align(
            task(tiny_folder, algorithm, steps=2, micro_batch=size, ppo={"critic_warmup": 0}, q_learning={"warmup": 0}),
            tmp_path / str(size),
        )
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


def test_given_answers_teach_and_a_few_sampled_ones_are_watched(tiny_folder, tmp_path):
    """ILQL's Q makes answers short that its language model alone would not; the log-ratio is not called a KL."""
    settings = {"learning_rate": 3e-3, "ilql": {"target_rate": 0.5, "target_every": 1, "beta": 20.0}}
    align(task(tiny_folder, "ilql", steps=60, watch_every=30, **settings), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [r["step"] for r in rows if "reward" in r] == [1, 31, 60]
    assert all(("kl" in r) == ("reward" in r) and "log_ratio" in r for r in rows)
    policy = load_policy(tmp_path / "run" / "policy", device="cpu")
    with_q, without = (
        judge_length(answer(p, PROMPTS, PolicyConfig(max_new_tokens=12), 4, "", ("t",)).exchanges).rewards.mean()
        for p in (policy, replace(policy, shape=None))
    )
    assert with_q > without + 0.2


def test_dpo_prefers_what_people_preferred(tiny_folder, tmp_path):
    align(task(tiny_folder, "dpo", steps=20, learning_rate=3e-3, kl={"coefficient": 0.5}), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert rows[0]["policy_loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert rows[0]["pair_accuracy"] < 0.6 and rows[-1]["pair_accuracy"] > 0.95
    assert rows[-1]["policy_loss"] < 0.4


def test_an_offline_algorithm_without_labels_says_what_to_do(tiny_folder, tmp_path):
    with pytest.raises(InputError, match=r"ilql learns from labelled answers and there are none; collect or import"):
        align(replace(task(tiny_folder, "ilql"), data=()), tmp_path / "run")


def test_every_prompt_comes_once_in_each_pass():
    n = len(PROMPTS)
    seen = [p.id for step in range(n) for p in step_items(PROMPTS, step, 3, ("prompts", 0))]
    for i in range(3):
        assert sorted(seen[i * n : (i + 1) * n]) == sorted(p.id for p in PROMPTS)
    assert seen[:n] != seen[n : 2 * n]


RUNNER = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
from {module} import align, {make} as make
align(make(Path({model!r}), **{settings!r}), Path(sys.argv[1]))
"""


def killed_five_times(home, model, settings, module="test_trainer", make="task"):
    """home/whole, a run that was left alone, and home/killed, one that got SIGKILL at 5 random moments."""
    code = RUNNER.format(here=str(Path(__file__).parent), model=str(model), settings=settings, module=module, make=make)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(folder):
        return subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment)

    assert start(home / "whole").wait() == 0
    rng, killed = random.Random(5), 0
    while killed < 5:
        process = start(home / "killed")
        journal = home / "killed" / "metrics.jsonl"
        seen = journal.stat().st_mtime_ns if journal.exists() else 0
        while process.poll() is None and (not journal.exists() or journal.stat().st_mtime_ns == seen):
            time.sleep(0.005)
        time.sleep(rng.random() * 0.25)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        if (home / "killed" / "policy").exists():
            (home / "killed" / "policy").rename(home / f"early-{killed}")
    assert start(home / "killed").wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm", ["ppo", pytest.param("dpo", marks=pytest.mark.long)]
)  # the others keep no more than these
def test_killed_at_random_moments_a_run_ends_in_the_same_weights(tiny_folder, tmp_path, algorithm):
    settings = {"ppo": {"critic_warmup": 2}, "ilql": {"target_every": 2, "target_rate": 0.5}}
    killed_five_times(tmp_path, tiny_folder, {"algorithm": algorithm, "steps": 8, **settings})
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))

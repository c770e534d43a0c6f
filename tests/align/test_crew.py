"""Worker processes: the same samples and gradients as one process, faults told, nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from test_trainer import PROMPTS, align, judge_length, task

from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Request
from trueline.align.crew import crew
from trueline.align.experience import measure
from trueline.align.shares import cut, deal, micro_batches
from trueline.align.update import update
from trueline.config import AlignConfig, PolicyConfig
from trueline.errors import InputError, RunError
from trueline.policy.load import load_policy
from trueline.policy.scoring import make_batch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
SETTINGS = AlignConfig(prompts_per_step=6, samples_per_prompt=4, learning_rate=1e-2)


def one_step(folder, workers, algorithm="ppo"):
    """A rollout and an update; the rollout, the metrics, and the weights behind it."""
    chosen = ALGORITHMS[algorithm]
    actor = Actor.new(load_policy(folder, device="cpu"), chosen.heads, chosen.targets)
    sampling = PolicyConfig(max_new_tokens=12)
    with crew(actor, load_policy(folder, device="cpu"), workers) as people:
        assert people.size == workers
        answers, judgement = people.answers(Request(PROMPTS[:6], sampling, 4, ("t",)), judge_length, None)
        rollout = measure(people, answers, judgement.rewards, SETTINGS, 1.0, 0.05)
        optimiser = actor.optimiser(1e-2)
        prepared = chosen.prepare(rollout, SETTINGS)
        metrics = update(people, optimiser, chosen, prepared, SETTINGS, 1.0, ("u",))
    return rollout, metrics, {n: p.detach().clone() for n, p in actor.named_parameters()}


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_workers_change_nothing_but_rounding(tiny_folder, algorithm):
    alone, shared = (one_step(tiny_folder, n, algorithm) for n in (1, 3))
    assert torch.equal(alone[0].batch.tokens, shared[0].batch.tokens)
    torch.testing.assert_close(alone[0].logprobs, shared[0].logprobs, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone[0].ref_logprobs, shared[0].ref_logprobs, atol=1e-5, rtol=0)
    assert alone[1].keys() == shared[1].keys()
    for name in alone[2]:
        torch.testing.assert_close(alone[2][name], shared[2][name], atol=2e-4, rtol=0)


def test_cutting_and_dealing_lose_no_row():
    assert [list(range(7))[s] for s in cut(7, 3)] == [[0, 1], [2, 3], [4, 5, 6]]
    assert cut(1, 3) == [slice(0, 1)]
    lengths = np.random.default_rng(0).integers(1, 30, 23)
    batch = make_batch([[1]] * 23, [[2] * int(n) for n in lengths], 0)
    shares = deal(batch, 4)
    assert sorted(torch.cat(shares).tolist()) == list(range(23))
    loads = [int(batch.mask[s].sum()) for s in shares]
    assert max(loads) - min(loads) <= 30
    groups = micro_batches(batch, 5)
    assert [len(g) for g in groups] == [5, 5, 5, 5, 3]
    padded = sum(len(g) * int(lengths[g].max()) for g in groups)
    assert padded < 1.3 * lengths.sum()


def fails(actor, reference, kind):
    if kind == "input":
        raise InputError("this text is wrong")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "other":
        raise ZeroDivisionError("oh")


def test_a_workers_fault_is_told(tiny_folder):
    policy = load_policy(tiny_folder, device="cpu")
    with crew(Actor.new(policy), policy, 2) as people:
        with pytest.raises(InputError, match="this text is wrong"):
            people.map(fails, [("none",), ("input",)])
        with pytest.raises(RunError, match="ZeroDivisionError: oh"):
            people.map(fails, [("none",), ("other",)])
        assert people.map(fails, [("none",), ("none",)]) == [None, None]
        with pytest.raises(RunError, match="worker process ended by itself"):
            people.map(fails, [("none",), ("die",)])


def test_a_run_with_workers_repeats_bit_for_bit(tiny_folder, tmp_path):
    for name in ("a", "b"):
        align(task(tiny_folder, "ppo", workers=2), tmp_path / name)
    a, b = ((tmp_path / name / "policy" / "model.safetensors").read_bytes() for name in ("a", "b"))
    assert a == b
    align(task(tiny_folder, "ppo", workers=1), tmp_path / "one")
    one, two = (load_file(tmp_path / name / "policy" / "model.safetensors") for name in ("one", "a"))
    for name in one:
        np.testing.assert_allclose(one[name].numpy(), two[name].numpy(), atol=1e-3)


RUNNER = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
from test_trainer import align, task
align(task(Path({model!r}), steps=500, workers=2), Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_workers_end_when_the_trainer_is_killed(tiny_folder, tmp_path):
    code = RUNNER.format(here=str(Path(__file__).parent), model=str(tiny_folder))
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")])
    while not list((tmp_path / "run" / "checkpoints").glob("step-*")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 1
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []

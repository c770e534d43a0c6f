"""Layers spread over a group of learners: the run of one machine, in half the memory, whatever is killed."""

import contextlib
import shutil
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from spread_group import in_group, learn, one_update
from test_ray_engine import TIMES, judge_even
from test_trainer import PROMPTS, align, task

from trueline.align.checks import read_checks
from trueline.align.journal import read_metrics
from trueline.engines.choose import run as choose
from trueline.errors import InputError

pytest.importorskip("ray", reason="the extra ray is not installed")

from trueline.engines.ray.engine import run
from trueline.engines.ray.sharding import spread as spread_layers

UNEVEN = {"prompts_per_step": 3, "samples_per_prompt": 3, "micro_batch": 1}
PPO = {"critic_warmup": 2, "epochs": 2, "minibatches": 5}
"""Of nine answers one learner has five, the other four; of PPO's last minibatch one has an answer, the other none."""


def spread(folder, algorithm="rloo", **settings):
    """On two learners, at a learning rate near the default. At 1e-2 rounding alone moves this model by 0.1 in twenty
    steps, on one machine too, where micro-batches are cut otherwise; at 1e-3 a token may come to lie on PPO's clip."""
    settings = {"workers": 2, "learning_rate": 3e-4, "engine": "ray", "ray": {"shard": True}, **settings}
    return task(folder, algorithm, **{**UNEVEN, "ppo": PPO, **settings})


def same(left, right):
    """Whether two runs drew the same answers, and went the same way but for rounding."""
    for one, other in zip(read_metrics(left), read_metrics(right), strict=True):
        assert one.keys() == other.keys()
        if "reward" in one:  # of the answers that were drawn, by their lengths
            assert one["reward"] == pytest.approx(other["reward"], abs=1e-9)
        assert max(row["ratio_gap"] for row in (one, other)) < 1e-4  # rounding itself, as is logprob_gap
        for name in one.keys() - TIMES - {"ratio_gap", "logprob_gap"}:
            assert one[name] == pytest.approx(other[name], abs=1e-5, rel=1e-4), (one["step"], name)
    close(left / "policy", right / "policy")


def close(left, right):
    one, other = (load_file(folder / "model.safetensors") for folder in (left, right))
    assert one.keys() == other.keys()
    for name, weight in one.items():
        np.testing.assert_allclose(other[name].numpy(), weight.numpy(), atol=1e-5, rtol=0, err_msg=name)


def checked(given):
    align_settings = given.config.align.model_copy(update={"check_every": 2, "check_prompts": 6, "patience": 0})
    config = given.config.model_copy(update={"align": align_settings})
    return replace(given, config=config, held_out=(judge_even, PROMPTS[:6]))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_an_update_is_that_of_one_process_in_half_the_memory(tiny_folder, tmp_path, algorithm, recompute):
    given = spread(tiny_folder, algorithm, recompute=recompute, max_grad_norm=1e9)
    metrics, gradients, (layers, rest) = one_update(given)
    found = in_group(tmp_path / "meet", one_update, given)
    for theirs, whole, _ in found:
        assert theirs.keys() == metrics.keys()
        for name, value in metrics.items():
            assert theirs[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name
        for name, gradient in gradients.items():
            np.testing.assert_allclose(whole[name], gradient, rtol=1e-4, atol=1e-4, err_msg=name)
    assert found[0][0] == found[1][0]
    assert [held for _, _, held in found] == [[layers / 2, rest]] * 2


LORA = {"lora_rank": 4, "ppo": {**PPO, "critic_warmup": 0}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [("ppo", LORA), ("grpo", {}), ("q_learning", {}), ("ilql", {"watch_every": 2}), ("dpo", {"recompute": True})],
)
def test_every_algorithm_goes_the_way_of_one_machine(tiny_folder, tmp_path, algorithm, settings):
    given = checked(spread(tiny_folder, algorithm, steps=4, **settings))
    align(given, tmp_path / "local")
    in_group(tmp_path / "meet", learn, given, tmp_path / "spread")
    same(tmp_path / "local", tmp_path / "spread")
    local, other = (read_checks(tmp_path / name) for name in ("local", "spread"))
    assert [c.scores for c in local] == [c.scores for c in other]
    close(tmp_path / "local" / "best", tmp_path / "spread" / "best")


@pytest.mark.slow
def test_sampling_ahead_is_that_of_whole_models(tiny_folder, tmp_path):
    for name, shard in (("whole", False), ("spread", True)):
        given = spread(tiny_folder, "grpo", steps=4, ray={"shard": shard, "ahead": True})
        in_group(tmp_path / f"meet_{name}", learn, given, tmp_path / name)
    same(tmp_path / "whole", tmp_path / "spread")
    assert min(abs(row["stale_kl"]) for row in read_metrics(tmp_path / "spread")[1:]) > 1e-5


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_learners(tiny_folder, tmp_path):
    """From one machine to two learners, to three, and back to one machine."""
    folder = tmp_path / "moved"
    for steps, size in ((2, 1), (4, 2), (5, 3), (6, 1)):
        given = spread(tiny_folder, "ppo", steps=steps)
        if size == 1:
            align(given, folder)
        else:
            in_group(tmp_path / f"meet{size}", learn, given, folder, size=size)
        if steps < 6:
            shutil.rmtree(folder / "policy")
    align(spread(tiny_folder, "ppo", steps=6), tmp_path / "whole")
    same(tmp_path / "whole", folder)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_twenty_steps_of_a_group_are_those_of_one_machine(tiny_folder, tmp_path, algorithm, recompute):
    given = spread(tiny_folder, algorithm, steps=20, recompute=recompute)
    align(given, tmp_path / "local")
    in_group(tmp_path / "meet", learn, given, tmp_path / "spread")
    same(tmp_path / "local", tmp_path / "spread")


@pytest.mark.slow
def test_on_ray_a_learner_that_is_killed_changes_nothing(two_nodes, tiny_folder, tmp_path):
    given, killed = checked(spread(tiny_folder, "ppo", steps=6, micro_batch=4, recompute=True)), []
    align(given, tmp_path / "local")

    def kill(row):
        if row["step"] == 4 and not killed:
            killed.extend(_learners()[-1:])
            killed[0].kill()

    run(given, tmp_path / "ray", kill)
    assert killed
    same(tmp_path / "local", tmp_path / "ray")


def _learners():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any("ray::RayTrainWorker" in word for word in process.cmdline()):
                found.append(process)
    return found


@pytest.mark.parametrize("engine", ["local", "rllib"])
def test_other_engines_refuse(tiny_folder, tmp_path, engine):
    with pytest.raises(InputError, match=f"align.ray.shard: the engine {engine} keeps .* set align.engine to ray"):
        choose(spread(tiny_folder, engine=engine), tmp_path / "run")


def test_one_learner_has_nobody_to_share_with(tiny_folder, tmp_path):
    with pytest.raises(InputError, match=r"align.ray.shard: there is one learner"):
        run(spread(tiny_folder, workers=1), tmp_path / "run")


def test_a_model_without_layers_of_its_own_is_refused(tiny):
    layers = tiny.model.model.layers
    layers[1].mlp = layers[0].mlp
    with pytest.raises(InputError, match="has no layers of their own to spread"):
        spread_layers(tiny, torch.device("cpu"))
    tiny.model.model.layers = torch.nn.ModuleList()
    with pytest.raises(InputError, match="has no layers of their own to spread"):
        spread_layers(tiny, torch.device("cpu"))

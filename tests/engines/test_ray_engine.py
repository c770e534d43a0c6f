"""A run on Ray against the same run on one machine: the same samples, the same weights, whatever is killed."""

import random
import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from safetensors.torch import load_file
from test_trainer import PROMPTS, align, task

from trueline.align.checks import read_checks
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement

pytest.importorskip("ray", reason="the extra ray is not installed")

from trueline.engines.ray.engine import run

TIMES = {"seconds_rollout", "seconds_update", "warnings"}


def judge_even(exchanges):
    return Judgement(np.array([float(len(e.completion.text) % 2) for e in exchanges]), {"reward_quality": 0.5})


def on_two(folder, algorithm="rloo", **settings):
    settings = {"workers": 2, "learning_rate": 1e-2, "check_every": 2, "check_prompts": 6, "patience": 0, **settings}
    return replace(task(folder, algorithm, **settings), held_out=(judge_even, PROMPTS[:6]))


def same(left, right):
    """Whether two runs took the same steps to the same weights."""
    for one, other in zip(read_metrics(left), read_metrics(right), strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - TIMES:
            assert one[name] == pytest.approx(other[name], abs=1e-5), (one["step"], name)
    a, b = (load_file(folder / "policy" / "model.safetensors") for folder in (left, right))
    for name in a:
        np.testing.assert_allclose(a[name].numpy(), b[name].numpy(), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_twenty_steps_on_ray_are_those_on_one_machine(two_nodes, tiny_folder, tmp_path):
    given, seen = on_two(tiny_folder, steps=20), []
    align(given, tmp_path / "local")
    assert run(given, tmp_path / "ray", seen.append) == tmp_path / "ray" / "policy"
    same(tmp_path / "local", tmp_path / "ray")
    assert [row["step"] for row in seen] == list(range(1, 21))
    local, ray = (read_checks(tmp_path / name) for name in ("local", "ray"))
    assert [c.scores for c in local] == [c.scores for c in ray]
    assert not (tmp_path / "ray" / "ray").exists()


def kill(kinds, chance, ended, killed):
    """Kill now and then a process of one of `kinds`, a part of its name, until `ended`."""
    while not ended.is_set() and len(killed) < chance["most"]:
        time.sleep(chance["draw"].uniform(0.3, 1.2) * chance["pace"])
        kind = chance["draw"].choice(kinds)
        found = [p for p in psutil.process_iter(["cmdline"]) if any(kind in word for word in p.info["cmdline"] or ())]
        if found:
            chance["draw"].choice(found).kill()
            killed.append(kind)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_killed_is_started_again_and_changes_nothing(two_nodes, tiny_folder, tmp_path):
    given = on_two(tiny_folder, "ppo", steps=12, ppo={"critic_warmup": 2})
    align(given, tmp_path / "local")
    node = two_nodes.add_node(num_cpus=4, object_store_memory=100 * 2**20)
    ended, killed = threading.Event(), []
    chance = {"draw": random.Random(0), "most": 6, "pace": 6}
    killer = threading.Thread(
        target=kill, args=(["ray::Sampler", "ray::Scorer", "ray::RayTrainWorker"], chance, ended, killed)
    )

    def lose_the_node(row):
        if row["step"] == 5 and node in two_nodes.list_all_nodes():
            two_nodes.remove_node(node, allow_graceful=False)
            killed.append("node")

    killer.start()
    try:
        run(given, tmp_path / "ray", lose_the_node)
    finally:
        ended.set()
        killer.join()
    assert len(killed) > 2
    assert "node" in killed
    same(tmp_path / "local", tmp_path / "ray")

"""A run on Ray against the same run on one machine: the same samples, the same weights, whatever is killed."""

import contextlib
import os
import random
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from safetensors.torch import load_file
from test_trainer import PROMPTS, align, judge_length, task

from trueline.align.checks import read_checks
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement
from trueline.config import PolicyConfig
from trueline.errors import InputError, RunError
from trueline.policy.load import load_policy, save_policy
from trueline.scenarios.booking import prompts
from trueline.scenarios.transcript import read_transcript

pytest.importorskip("ray", reason="the extra ray is not installed")

from trueline.engines.ray.cluster import cluster, require_placement
from trueline.engines.ray.engine import run

# The gaps measure rounding itself.
TIMES = {"seconds_rollout", "seconds_update", "warnings", "ratio_gap", "logprob_gap"}


def judge_even(exchanges):
    return Judgement(np.array([float(len(e.completion.text) % 2) for e in exchanges]), {"reward_quality": 0.5})


def on_two(folder, algorithm="rloo", **settings):
    settings = {"workers": 2, "learning_rate": 3e-4, "check_every": 2, "check_prompts": 6, "patience": 0, **settings}
    return replace(task(folder, algorithm, **settings), held_out=(judge_even, PROMPTS[:6]))


def same(left, right):
    """Whether two runs took the same steps to the same weights."""
    for one, other in zip(read_metrics(left), read_metrics(right), strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - TIMES:
            assert one[name] == pytest.approx(other[name], abs=1e-5, rel=1e-5), (one["step"], name)
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


FULL = os.environ.get("TRUELINE_LOAD") == "full"
KILLS, STEPS, PAUSE = (20, 60, 6.0) if FULL else (4, 12, 4.0)
KINDS = ["ray::Sampler", "ray::Scorer", "ray::RayTrainWorker", "node"]


class Killer(threading.Thread):
    """Ends a process of the run, or a whole node, at random moments; a node comes back."""

    def __init__(self, nodes):
        super().__init__()
        self.nodes, self.over, self.killed, self.draw = nodes, threading.Event(), [], random.Random(0)
        self.node = None
        self.bring_back()

    def bring_back(self, row=None):
        """Nodes are started in the main thread only."""
        if self.node is None and not self.over.is_set():
            self.node = self.nodes.add_node(num_cpus=4, object_store_memory=100 * 2**20)

    def run(self):
        while len(self.killed) < KILLS and not self.over.wait(self.draw.uniform(0.5, 1.5) * PAUSE):
            kind = self.draw.choice(KINDS) if FULL else KINDS[len(self.killed)]
            if self.end(kind):
                self.killed.append(kind)

    def end(self, kind):
        if kind == "node":
            if self.node is None:
                return False
            self.nodes.remove_node(self.node, allow_graceful=False)
            self.node = None
            return True
        found = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(kind in word for word in process.cmdline()):
                    found.append(process)
        for process in found[:1]:
            process.kill()
        return bool(found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_killed_is_started_again_and_changes_nothing(two_nodes, tiny_folder, tmp_path):
    given = on_two(tiny_folder, "ppo", steps=STEPS, ppo={"critic_warmup": 2})
    align(given, tmp_path / "local")
    killer = Killer(two_nodes)

    killer.start()
    try:
        run(replace(given, judge=judge_slowly), tmp_path / "ray", killer.bring_back)
    finally:
        killer.over.set()
        killer.join()
        if killer.node is not None:
            two_nodes.remove_node(killer.node)
    assert len(killer.killed) == KILLS, killer.killed
    same(tmp_path / "local", tmp_path / "ray")


def judge_slowly(exchanges):
    """The same as judge_length, in time to be killed."""
    time.sleep(1.5)
    return judge_length(exchanges)


class Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.long
def test_sampling_ahead_is_one_step_stale_and_goes_on_where_it_was_stopped(two_nodes, tiny_folder, tmp_path):
    given = on_two(tiny_folder, "grpo", steps=5, ray={"ahead": True, "judges": 2})

    def stop(row):
        if row["step"] == 3:
            raise Interrupted

    run(given, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(given, tmp_path / "stopped", stop)
    run(given, tmp_path / "stopped")
    same(tmp_path / "whole", tmp_path / "stopped")
    first, *later = (row["stale_kl"] for row in read_metrics(tmp_path / "whole"))
    assert first == pytest.approx(0, abs=1e-5)
    assert min(abs(kl) for kl in later) > 1e-4


@pytest.mark.slow
def test_sampling_ahead_with_a_policy_that_stands_still_is_sampling_in_turn(two_nodes, tiny_folder, tmp_path):
    still = {"learning_rate": 1e-9, "steps": 3, "check_every": 0}
    align(on_two(tiny_folder, **still), tmp_path / "local")
    run(on_two(tiny_folder, **still, ray={"ahead": True}), tmp_path / "ray")
    for one, other in zip(*(read_metrics(tmp_path / name) for name in ("local", "ray")), strict=True):
        for name in one.keys() - TIMES:
            assert one[name] == pytest.approx(other[name], abs=1e-4), (one["step"], name)


def judge_turns(exchanges):
    """Rewards every turn that somebody answered."""
    turns = np.array([len(read_transcript(e.completion.text)) for e in exchanges], dtype=float)
    return Judgement(turns, {"reward": float(turns.mean())})


@pytest.fixture
def talker_folder(tiny_folder, tmp_path):
    """The tiny policy, with an end of a turn likelier than by chance: users answer an empty turn."""
    policy, folder = load_policy(tiny_folder, device="cpu"), tmp_path / "talker"
    policy.model.generation_config.eos_token_id = [policy.tokenizer.eos_token_id, *range(20, 80)]
    folder.mkdir()
    save_policy(policy, folder)
    return folder


@pytest.mark.slow
def test_episodes_through_storage_are_those_on_one_machine_though_a_learner_is_killed(
    two_nodes, talker_folder, tmp_path
):
    plain = on_two(talker_folder, steps=4, prompts_per_step=8, learning_rate=1e-3)
    config = plain.config.model_copy(update={"policy": PolicyConfig(max_new_tokens=60)})
    given = replace(plain, judge=judge_turns, prompts=prompts(12, "train", 0), config=config)
    align(given, tmp_path / "local")
    moved = shutil.copytree(talker_folder, tmp_path / "models" / "policy")
    storage = config.align.ray.model_copy(update={"storage": (tmp_path / "storage").as_uri()})
    through = config.model_copy(update={"align": config.align.model_copy(update={"ray": storage})})
    killed = []

    def kill_one(row):
        if row["step"] == 2 and not killed:
            shutil.rmtree(moved)  # the nodes have their own copies
            killed.extend(p for p in psutil.Process().children(recursive=True) if "RayTrainWorker" in p.name())
            killed[0].kill()

    there = replace(given, policy=str(moved), reference=str(moved), config=through)
    assert run(there, tmp_path / "ray", kill_one) == tmp_path / "ray" / "policy"
    assert killed
    same(tmp_path / "local", tmp_path / "ray")
    assert max(row["reward"] for row in read_metrics(tmp_path / "ray")) > 1.1


def judge_fails(exchanges):
    raise RunError("the judge has had enough")


@pytest.mark.slow
def test_a_reward_that_fails_ends_the_run_with_its_own_words(two_nodes, tiny_folder, tmp_path):
    with pytest.raises(RunError, match="the judge has had enough"):
        run(replace(on_two(tiny_folder), judge=judge_fails), tmp_path / "run")


@pytest.mark.slow
def test_another_version_on_the_cluster_is_refused(two_nodes, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("trueline.engines.ray.fleet.versions", lambda: {"torch": "1.0"})
    with pytest.raises(InputError, match=r"this machine has \{'torch': '1.0'\}: install the same"):
        run(on_two(tiny_folder), tmp_path / "run")


@pytest.mark.slow
def test_a_cluster_that_is_too_small_is_told_what_is_missing(two_nodes, tiny_folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"needs 4 GPU \(it has 0 GPU\); lower align.workers"):
        run(on_two(tiny_folder, ray={"gpus": 2}), tmp_path / "run")
    with pytest.raises(InputError, match=r"needs 1000\.0 GiB of memory \(it has .* GiB of memory\); buy"):
        require_placement([{"memory": 1000 * 2**30}], "buy")
    monkeypatch.setattr("trueline.engines.ray.cluster.PLACED_WITHIN", 1)
    node = two_nodes.add_node(num_cpus=4)
    try:
        with pytest.raises(RunError, match=r"no room now: the run needs 10 CPU \([\d.]+ CPU free\), of 1 parts"):
            require_placement([{"CPU": 10.0}], "wait")
    finally:
        two_nodes.remove_node(node)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "nobody answers at 127.0.0.1:1"),
        ("nonsense", "'nonsense' is not host:port"),
        ("ray://head:10001", "is not host:port of a Ray head"),
    ],
)
def test_an_address_that_does_not_answer_is_said_within_ten_seconds(address, said):
    started = time.monotonic()
    with pytest.raises(InputError, match=said), cluster(address, 1):
        pass
    assert time.monotonic() - started < 10


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'trueline\[ray\]'"), cluster("", 1):
        pass


@pytest.mark.parametrize("algorithm", ["q_learning", "dpo"])
def test_algorithms_that_cannot_sample_ahead_are_refused(tiny_folder, tmp_path, algorithm):
    with pytest.raises(InputError, match=f"align.ray.ahead: {algorithm} .*rloo, reinforce, grpo, ppo"):
        run(on_two(tiny_folder, algorithm, engine="ray", ray={"ahead": True}), tmp_path / "run")

"""Checks by a held-out judge: when a fall is more than chance, and runs that end with the policy of the peak."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_trainer import WORDS, align, judge_length, killed_five_times, task, weights

from trueline.align.answers import answer
from trueline.align.checks import Check, best_of, past_peak, read_checks, to_ship
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement
from trueline.config import PolicyConfig
from trueline.policy.load import load_policy
from trueline.records import Prompt

HELD_OUT = [Prompt.from_user(f"order {a} {b} {n}") for a in WORDS[:4] for b in WORDS[4:8] for n in range(40, 44)]


def judge_middling(exchanges):
    """Likes answers of about 9 letters: a policy that learns to be short comes past them. In 0..1."""
    lengths = np.array([len(e.completion.text) for e in exchanges])
    rewards = np.exp(-(((lengths - 9) / 4) ** 2))
    return Judgement(rewards, {"reward": float(rewards.mean()), "reward_safety": 0.5})


def checks_of(means, n=64, noise=0.3, seed=0):
    """Checks whose prompts differ by 1 and whose answers to one prompt differ by `noise` (standard deviations)."""
    rng = np.random.default_rng(seed)
    prompts = rng.normal(0, 1, n)
    return [
        Check(10 * i, tuple((prompts + mean + rng.normal(0, noise, n)).tolist()), float(i))
        for i, mean in enumerate(means, 1)
    ]


def test_a_clear_fall_is_seen_after_so_many_checks_and_no_sooner():
    checks = checks_of([0.0, 0.5, 1.0, 0.4, 0.3, 0.2])
    assert [past_peak(checks[:n], 3) for n in range(7)] == [False] * 6 + [True]
    assert [past_peak(checks[:n], 1) for n in range(7)] == [False] * 4 + [True] * 3
    assert not past_peak(checks, 0) and not past_peak(checks, 4)
    assert best_of(checks).step == 30 and to_ship(checks, 3) is checks[2] and to_ship(checks, 0) is None


def test_one_good_check_in_between_starts_the_count_again():
    assert not past_peak(checks_of([1.0, 0.4, 0.4, 1.0, 0.4, 0.4]), 3)
    assert not past_peak(checks_of([0.0, 0.2, 0.4, 0.6, 0.8]), 1)


def test_the_comparison_is_paired():
    """Prompts differ by far more than the policies do; only prompt by prompt is the fall plain."""
    first, second = checks_of([0.2, 0.0])
    assert past_peak([first, second], 1)
    mixed = [tuple(np.random.default_rng(seed).permutation(second.scores)) for seed in range(20)]
    assert sum(past_peak([first, replace(second, scores=scores)], 1) for scores in mixed) <= 4


@pytest.mark.parametrize("patience", [1, 3])
def test_chance_alone_seldom_ends_a_run(patience):
    """Twenty checks of a policy that does not change. 5% is the most at one look, at the end; with a patience of 3 also
    where it is looked at after each check."""
    ended = 0
    for seed in range(400):
        checks = checks_of([0.0] * 20, seed=seed)
        looks = range(1, 21) if patience == 3 else [20]
        ended += any(past_peak(checks[:n], patience) for n in looks)
    assert ended / 400 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_where_the_learned_reward_falls_too_nothing_is_exploited():
    checks = checks_of([0.0, 1.0, 0.4, 0.4, 0.4])
    fell = [replace(c, reward=-c.reward) for c in checks]
    assert past_peak(checks, 3) and not past_peak(fell, 3) and to_ship(fell, 3) is None


def test_equal_differences_and_equal_scores_are_told_apart():
    flat = Check(10, (1.0, 2.0, 3.0), 0.0)
    assert past_peak([flat, replace(flat, step=20, scores=(0.5, 1.5, 2.5))], 1)
    assert not past_peak([flat, replace(flat, step=20)], 1)


def test_a_policy_that_breaks_the_constraint_is_not_the_best():
    """It may score more for it; as long as none keeps the limit, the nearest is the best and nothing ends."""
    broken, worse, kept = (replace(c, over=o) for c, o in zip(checks_of([1.0, 0.9, 0.3]), (0.3, 0.4, 0.0), strict=True))
    assert best_of([broken, worse]) is broken and not past_peak([broken, worse], 1)
    assert best_of([broken, worse, kept]) is kept and not past_peak([broken, worse, kept], 1)


SETTINGS = {
    "learning_rate": 1e-2,
    "prompts_per_step": 8,
    "kl": {"coefficient": 0.0001},
    "check_every": 4,
    "patience": 3,
}


def checked(folder, algorithm="rloo", steps=60, judge=judge_middling, **settings):
    return replace(task(folder, algorithm, steps=steps, **{**SETTINGS, **settings}), held_out=(judge, HELD_OUT))


def fresh_score(folder):
    """What the held-out judge says of many new answers."""
    policy = load_policy(folder, device="cpu")
    answers = answer(policy, HELD_OUT, PolicyConfig(max_new_tokens=12), 16, "", ("new",))
    return judge_middling(answers.exchanges).rewards.mean()


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory):
    """The same run with and without patience."""
    home = tmp_path_factory.mktemp("checks")
    align(checked(tiny_folder), home / "patient")
    align(checked(tiny_folder, patience=0), home / "endless")
    return home


def test_a_run_ends_past_the_peak_with_the_policy_of_the_peak(runs):
    rows, checks = read_metrics(runs / "patient"), read_checks(runs / "patient")
    best = best_of(checks)
    assert 4 < best.step < rows[-1]["step"] < 60 and rows[-1]["step"] - best.step >= 3 * 4
    assert checks[-1].reward > best.reward
    noted = json.loads((runs / "patient" / "stopped.json").read_text())
    assert (noted["step_of_policy"], noted["last_step"]) == (best.step, rows[-1]["step"])
    said = rows[-1]["warnings"][-1]
    assert f"step {best.step} with {best.judge:.3f}" in said and f"is {checks[-1].judge:.3f} at step" in said
    assert f"went from {best.reward:.3f} to {checks[-1].reward:.3f}" in said
    assert not any("peaked" in warning for row in rows[:-1] for warning in row["warnings"])


def test_what_is_shipped_is_as_good_as_the_peak_and_the_end_is_worse(runs):
    peak = max(c.judge for c in read_checks(runs / "endless"))
    assert fresh_score(runs / "patient" / "policy") > 0.98 * peak
    assert fresh_score(runs / "endless" / "policy") < 0.8 * peak
    assert not (runs / "endless" / "stopped.json").exists()
    assert read_metrics(runs / "endless")[-1]["step"] == 60


def test_the_rows_of_checks_say_what_both_judges_said(runs):
    seen = {row["step"]: row for row in read_metrics(runs / "endless") if "judge" in row}
    checks = read_checks(runs / "endless")
    assert list(seen) == [c.step for c in checks] == list(range(4, 61, 4))
    for check in checks:
        row = seen[check.step]
        assert row["judge"] == pytest.approx(np.mean(check.scores)) and row["judge_safety"] == 0.5
        assert row["judge_error"] == pytest.approx(np.std(check.scores, ddof=1) / 8)
        assert row["check_reward"] == check.reward
    assert seen[60]["check_kl"] > seen[4]["check_kl"] > 0


def test_the_kl_of_a_check_is_that_of_two_plain_forward_passes(tiny_folder, tiny, tmp_path):
    """Mean over the checked answers of log pi - log ref, by the models' own logits."""
    align(checked(tiny_folder, steps=1, check_every=1, learning_rate=1e-3), tmp_path / "run")
    policy = load_policy(tmp_path / "run" / "policy", device="cpu")
    again = answer(policy, HELD_OUT, PolicyConfig(max_new_tokens=12), 1, "", ("check", 3))
    assert tuple(judge_middling(again.exchanges).rewards.tolist()) == read_checks(tmp_path / "run")[0].scores
    sums = []
    for asked, said in zip(again.prompt_tokens, again.answer_tokens, strict=True):
        tokens = torch.tensor([asked + said])
        with torch.no_grad():
            new, old = (torch.log_softmax(p.model(tokens).logits[0, len(asked) - 1 : -1], -1) for p in (policy, tiny))
        index = tokens[0, len(asked) :, None]
        sums.append((new.gather(1, index) - old.gather(1, index)).sum().item())
    assert read_metrics(tmp_path / "run")[0]["check_kl"] == pytest.approx(np.mean(sums), abs=1e-4)
    assert np.mean(sums) > 0.005


@pytest.mark.parametrize(("algorithm", "settings"), [("rloo", {}), ("rloo", {"lora_rank": 4}), ("ilql", {})])
def test_checks_change_nothing_in_what_is_trained(tiny_folder, tmp_path, algorithm, settings):
    settings = {**settings, "patience": 0, "prompts_per_step": 4}
    align(checked(tiny_folder, algorithm, steps=5, **{**settings, "check_every": 2}), tmp_path / "checked")
    align(checked(tiny_folder, algorithm, steps=5, **{**settings, "check_every": 0}), tmp_path / "alone")
    assert weights(tmp_path / "checked") == weights(tmp_path / "alone")
    assert [c.step for c in read_checks(tmp_path / "checked")] == [2, 4, 5]
    assert not (tmp_path / "alone" / "checks.jsonl").exists() and not (tmp_path / "alone" / "best").exists()


def test_two_processes_check_as_one(tiny_folder, tmp_path):
    for workers in (1, 2):
        align(checked(tiny_folder, steps=1, check_every=1, workers=workers), tmp_path / str(workers))
    (one,), (two,) = (read_checks(tmp_path / name) for name in "12")
    assert np.mean(np.isclose(one.scores, two.scores)) > 0.9  # the step before is summed in another order


@pytest.mark.parametrize("rank", [0, 4])
def test_the_best_policy_is_the_one_of_its_step(tiny_folder, tmp_path, rank):
    """Also with LoRA, whose matrices are merged into a copy: the same as that of a run that ends there."""
    scores = iter([0.0, 1.0, 0.5, 0.5])

    def judge(exchanges):
        return Judgement(np.full(len(exchanges), next(scores)), {})

    settings = {"lora_rank": rank, "prompts_per_step": 4}
    align(checked(tiny_folder, steps=4, judge=judge, check_every=1, patience=0, **settings), tmp_path / "run")
    align(checked(tiny_folder, steps=2, check_every=0, **settings), tmp_path / "short")
    best = (tmp_path / "run" / "best" / "model.safetensors").read_bytes()
    assert best == weights(tmp_path / "short")["model.safetensors"]
    assert best != weights(tmp_path / "run")["model.safetensors"]


def test_where_a_run_ends_below_its_peak_the_peak_is_shipped_though_patience_is_left(tiny_folder, tmp_path, runs):
    last = best_of(read_checks(runs / "endless")).step + 12
    align(checked(tiny_folder, steps=last, patience=9), tmp_path / "run")
    assert weights(tmp_path / "run") == weights(runs / "patient")
    rows = read_metrics(tmp_path / "run")
    assert rows[-1]["step"] == last and "peaked" in rows[-1]["warnings"][-1]


def test_where_nothing_falls_the_last_policy_is_shipped(tiny_folder, tmp_path):
    align(checked(tiny_folder, steps=8, judge=judge_length), tmp_path / "run")
    align(checked(tiny_folder, steps=8, check_every=0), tmp_path / "plain")
    assert weights(tmp_path / "run") == weights(tmp_path / "plain")
    assert not (tmp_path / "run" / "stopped.json").exists()


@pytest.mark.parametrize(
    ("module", "name", "at"),
    [
        ("checks", "asdict", "peak"),
        ("checkpoint", "save", "peak"),
        ("checkpoint", "save", "end"),
        ("trainer", "ship_best", ""),
    ],
)
def test_interrupted_around_a_check_it_ends_the_same(tiny_folder, tmp_path, runs, monkeypatch, module, name, at):
    """When the best policy is kept but not noted; noted, but in no checkpoint; at the end likewise; all but shipped."""
    checks = read_checks(runs / "patient")
    step = {"peak": best_of(checks).step, "end": checks[-1].step, "": 0}[at]
    place = sys.modules[f"trueline.align.{module}"]
    real = getattr(place, name)

    def fail(*given):
        if step in [0, *(getattr(x, "step", -1) for x in given)]:
            raise KeyboardInterrupt
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, fail)
        with pytest.raises(KeyboardInterrupt):
            align(checked(tiny_folder), tmp_path / "run")
    assert not (tmp_path / "run" / "policy").exists()
    align(checked(tiny_folder), tmp_path / "run")
    assert weights(tmp_path / "run") == weights(runs / "patient")
    assert read_checks(tmp_path / "run") == checks
    assert [r["step"] for r in read_metrics(tmp_path / "run")] == [r["step"] for r in read_metrics(runs / "patient")]
    assert (tmp_path / "run" / "stopped.json").read_bytes() == (runs / "patient" / "stopped.json").read_bytes()


@pytest.mark.slow
def test_killed_at_random_moments_it_finds_the_same_best_and_stops_there(tiny_folder, tmp_path):
    killed_five_times(tmp_path, tiny_folder, {"check_every": 2}, "test_checks", "checked")
    for name in ("checks.jsonl", "stopped.json", "best/model.safetensors", "policy/model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

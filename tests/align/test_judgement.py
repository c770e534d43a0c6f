"""A reward that misbehaves is named, with the text at fault, and never reaches the loss."""

from dataclasses import replace

import numpy as np
import pytest
from test_trainer import align, task

from trueline.align.judgement import Judgement, judged
from trueline.errors import InputError, RunError
from trueline.records import Exchange, Prompt

EXCHANGES = [Exchange.of(Prompt.from_user(f"q{i}"), f"answer {i}") for i in range(3)]


def raises(exchanges):
    raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (raises, "the reward failed .ZeroDivisionError: oh"),
        (lambda e: None, "the reward failed"),
        (lambda e: Judgement(None, {}), "gave 1 numbers for 3 answers"),
        (lambda e: Judgement(np.zeros(2), {}), "gave 2 numbers for 3 answers"),
        (lambda e: Judgement(np.array([0.0, np.nan, 0.0]), {}), "the reward of 'answer 1' is nan"),
        (lambda e: Judgement(np.array([0.0, 0.0, np.inf]), {}), "the reward of 'answer 2' is inf"),
        (lambda e: Judgement(np.array(["a", "b", "c"]), {}), "the reward failed"),
    ],
)
def test_a_reward_that_misbehaves_is_named(judge, words):
    with pytest.raises(RunError, match=words):
        judged(judge, EXCHANGES)


def test_a_runs_own_error_passes_as_it_is():
    def judge(exchanges):
        raise InputError("the reward model is gone")

    with pytest.raises(InputError, match="the reward model is gone"):
        judged(judge, EXCHANGES)


def test_in_a_run_the_step_before_is_kept(tiny_folder, tmp_path):
    with pytest.raises(RunError, match="no number"):
        align(task(tiny_folder, judge=lambda e: Judgement(np.full(len(e), np.nan), {})), tmp_path / "run")
    align(task(tiny_folder), tmp_path / "run")


def test_a_prompt_longer_than_the_context_is_refused_before_training(tiny_folder, tmp_path):
    plain = task(tiny_folder)
    long = replace(plain, prompts=[*plain.prompts, Prompt.from_user("order " * 400)])
    with pytest.raises(InputError, match="reads at most 256 tokens, but a prompt of 256"):
        align(long, tmp_path / "run")
    assert not (tmp_path / "run").exists()

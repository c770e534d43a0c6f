"""What is looked at in a step, against what one counts by hand."""

from dataclasses import replace

import torch
from test_algorithms import make_rollout

from trueline.align.watch import watch


def seen(scores, groups):
    rollout = make_rollout(b=len(scores))
    scores, group = torch.tensor(scores).to(rollout.scores), torch.tensor(groups)
    return watch(replace(rollout, scores=scores, group=group))


def test_the_share_of_prompts_whose_answers_all_score_the_same():
    assert seen([1.0, 1.0, 2.0, 2.5], [0, 0, 1, 1])["alike_prompts"] == 0.5
    assert seen([1.0, 2.0, 1.0, 2.0], [0, 1, 0, 1])["alike_prompts"] == 1.0
    assert seen([1.0, 2.0, 1.0, 2.0], [7, 7, 3, 3])["alike_prompts"] == 0.0


def test_single_answers_are_like_no_others():
    assert "alike_prompts" not in seen([1.0, 1.0, 1.0, 1.0], [0, 1, 2, 3])

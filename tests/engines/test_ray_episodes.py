"""Episodes of several turns on Ray: the samples and the steps of one machine."""

from dataclasses import replace

import numpy as np
import pytest
from test_ray_engine import same
from test_trainer import align, task

from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement
from trueline.config import PolicyConfig
from trueline.policy.load import load_policy, save_policy
from trueline.scenarios.booking import prompts
from trueline.scenarios.transcript import read_transcript

pytest.importorskip("ray", reason="the extra ray is not installed")

from trueline.engines.ray.engine import run


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
def test_episodes_on_ray_are_those_on_one_machine(two_nodes, talker_folder, tmp_path):
    plain = task(talker_folder, judge=judge_turns, workers=2, steps=3, prompts_per_step=8, learning_rate=1e-3)
    config = plain.config.model_copy(update={"policy": PolicyConfig(max_new_tokens=60)})
    given = replace(plain, prompts=prompts(12, "train", 0), config=config)
    align(given, tmp_path / "local")
    run(given, tmp_path / "ray")
    same(tmp_path / "local", tmp_path / "ray")
    assert max(row["reward"] for row in read_metrics(tmp_path / "ray")) > 1.1

"""Held-out answers are made once; who judges them, and what a report is told of the rounds."""

import numpy as np
import pytest

from trueline.config import CollectConfig, Config, EvaluateConfig, PolicyConfig, ProjectConfig
from trueline.errors import InputError, RunError
from trueline.evaluate.judges.rules import read_rules
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.answering import held_out_prompts, replies
from trueline.loop.panel import heard, panel
from trueline.loop.project import Project
from trueline.loop.telling import checkpoints
from trueline.records import Scores


@pytest.fixture
def project(tmp_path, tiny_folder):
    config = Config(
        project=ProjectConfig(seed=1),
        policy=PolicyConfig(model=str(tiny_folder), max_new_tokens=8, max_prompt_tokens=48),
        collect=CollectConfig(prompts=8),
        evaluate=EvaluateConfig(prompts=6, bootstrap=100),
    )
    return Project(tmp_path, config)


def test_answers_are_made_once_and_read_back_as_they_were(project, tmp_path):
    base, target = project.base_policy, tmp_path / "answers.json"
    made = replies(project, base, base, target)
    before = target.read_bytes()
    read = replies(project, base, base, target)
    assert target.read_bytes() == before and read.exchanges == made.exchanges
    assert [e.prompt for e in made.exchanges] == held_out_prompts(project)
    np.testing.assert_array_equal(read.tokens, made.tokens)
    np.testing.assert_array_equal(made.kl, np.zeros(6))  # to itself
    np.testing.assert_array_equal(read.surprise[0], made.surprise[0])
    assert replies(project, base, base).exchanges == made.exchanges  # the same noise each time


def test_answers_to_other_prompts_or_torn_ones_are_refused(project, tmp_path):
    base, target = project.base_policy, tmp_path / "answers.json"
    replies(project, base, base, target)
    fewer = Project(project.folder, project.config.model_copy(update={"evaluate": EvaluateConfig(prompts=4)}))
    with pytest.raises(InputError, match="answers other prompts"):
        replies(fewer, base, base, target)
    target.write_text(target.read_text()[:200])
    with pytest.raises(InputError, match="delete it"):
        replies(project, base, base, target)


class Likes:
    """A reward model that likes long answers, or fails."""

    dimensions = ("quality", "safety", "consistency")

    def __init__(self, broken=False):
        self.broken = broken

    def score(self, exchanges):
        if self.broken:
            raise RunError("the judge is gone")
        lengths = [float(len(e.completion.text)) for e in exchanges]
        return Scores(self.dimensions, np.array([lengths] * 3).T)


def test_every_judge_is_heard_and_one_that_fails_says_why_while_the_others_go_on(project, monkeypatch):
    (project.folder / "rules.toml").write_text('[[rule]]\nname = "an answer"\nleast_characters = 1\n')
    read_rules(project.folder / "rules.toml")
    config = project.config.model_copy(update={"evaluate": EvaluateConfig(prompts=6, rules="rules.toml")})
    asked = Project(project.folder, config)
    both = replies(asked, asked.base_policy, asked.base_policy).exchanges
    longer = tuple(type(e).of(e.prompt, e.completion.text + " more") for e in both)
    monkeypatch.setattr("trueline.loop.panel.load_reward", lambda folder: Likes(broken=folder.name == "broken"))
    judges = panel(asked, project.folder / "judge", project.folder / "broken")
    found = heard(judges, both, longer, FeedbackSnapshot({}, {}, (), ()), 1)
    assert len(found.rows) == 4
    held_out, trained_on, rules = found.rows[1:]
    assert held_out.wins.value == 1.0 and held_out.people is None
    assert trained_on.wins is None and "the judge is gone" in trained_on.note
    assert rules.wins.value == 0.5 or any(e.completion.text == "" for e in both)
    assert found.counts[1][2] == 0 and found.shares[1][2] is None and found.shares[1][1] == 1.0


def test_in_a_loop_a_judge_is_asked_once_unless_it_has_changed(project, monkeypatch):
    asked, folders = [], [project.folder / "judge", project.folder / "reward"]

    class Counts(Likes):
        def score(self, exchanges):
            asked.extend(exchanges)
            return super().score(exchanges)

    monkeypatch.setattr("trueline.loop.panel.load_reward", lambda folder: Counts())
    for folder in folders:
        folder.mkdir()
        (folder / "model.json").write_text("1")
    answers = replies(project, project.base_policy, project.base_policy).exchanges
    longer = tuple(type(e).of(e.prompt, e.completion.text + " more") for e in answers)

    def ask():
        asked.clear()
        judges = panel(project, *folders, project.folder / "verdicts")
        return heard(judges, answers, longer, FeedbackSnapshot({}, {}, (), ()), 1)

    first = ask()
    assert len(asked) == 4 * len(answers)  # two reward models, two sides
    assert ask() == first and not asked
    (folders[0] / "model.json").write_text("2")
    assert ask() == first and len(asked) == 2 * len(answers)


def test_checks_of_a_training_run_become_points_along_the_kl():
    checked = {"check_kl": 2.0, "check_reward": 1.0, "judge": 0.5, "judge_error": 0.1}
    points = checkpoints(2, [{"step": 1, "reward": 0.1}, {"step": 5, "reward": 0.2, **checked}])
    assert [(p.round, p.step, p.kl, p.judge) for p in points] == [(2, 5, 2.0, 0.5)]

"""What is checked by rule: by hand, in the reward, in a run, and sent to another process."""

import multiprocessing
import shutil

import cloudpickle
import numpy as np
import pytest

from trueline import durable
from trueline.config import CHECK_NAMES, Config, load, render
from trueline.errors import InputError, RunError
from trueline.loop.checked import CHECKS, checks_of
from trueline.loop.judging import make_judge
from trueline.loop.project import Project
from trueline.loop.stages import continue_align, start_align
from trueline.records import Exchange, Prompt, Scores
from trueline.reward.objective import Objective

RULES = """
[[rule]]
name = "short"
most_words = 3
weight = 3
[[rule]]
name = "polite"
must_have = ["please"]
dimension = "manners"
[[rule]]
name = "no threats"
must_not_match = "or else"
unsafe = true
"""
COUPLET = "The cat sat down upon the mat\nand there it stayed, content and fat"


def config(checks, **sections):
    rules = {"rules": "rules.toml"} if "rules" in checks else {}
    return Config.model_validate({"objective": {"checks": checks}, "evaluate": rules, **sections})


@pytest.fixture
def project(tmp_path):
    (tmp_path / "rules.toml").write_text(RULES)
    return Project(tmp_path, config({"form": 1.0, "told": 1.0, "rules": 1.0}))


def answers(*pairs):
    """Of (text, prompt meta)."""
    return [Exchange.of(Prompt.from_user(f"question {i}", m), text) for i, (text, m) in enumerate(pairs)]


class Lengths:
    """A learned reward that anybody can work out."""

    dimensions = ("quality", "safety", "consistency")

    def score(self, exchanges):
        return Scores(self.dimensions, np.array([[len(e.completion.text) / 10, 0.5, -1] for e in exchanges]))


def test_every_name_that_the_settings_allow_is_checked_and_no_other():
    assert set(CHECKS) == set(CHECK_NAMES)


def test_rules_give_the_weighted_share_and_nothing_where_an_unsafe_one_is_broken(project):
    pytest.importorskip("pronouncing")
    said = answers(("please go now", {}), ("go now", {}), ("please go now for once", {}), ("please, or else", {}))
    np.testing.assert_allclose(checks_of(project)["rules"](said), [1, 4 / 5, 2 / 5, 0])


def test_told_and_form_are_full_where_the_prompt_asks_for_nothing(project):
    pytest.importorskip("pronouncing")
    facts = {"facts": ["Leeds", ["40%", "40 percent"]]}
    said = answers(("Leeds it was", facts), ("40 percent of Leeds", facts), ("nothing", facts), ("nothing", {}))
    np.testing.assert_allclose(checks_of(project)["told"](said), [0.5, 1, 0, 1])
    verse = answers((COUPLET, {"form": "couplet"}), ("One line", {"form": "couplet"}), ("One line", {}))
    np.testing.assert_allclose(checks_of(project)["form"](verse), [1, 0, 1])


def test_the_reward_is_the_learned_one_and_weight_times_value_more_with_a_metric_each():
    said = answers(("ab", {}), ("abcd", {}))
    values = np.array([0.25, 1.0])
    plain = make_judge(Lengths(), Config(), None)(said)
    checked = make_judge(Lengths(), config({"told": 4.0}), None, checks={"told": lambda exchanges: values})(said)
    np.testing.assert_allclose(checked.rewards, plain.rewards + 4 * values)
    assert checked.metrics["check_told"] == pytest.approx(0.625)
    assert checked.metrics["reward"] == pytest.approx(plain.metrics["reward"] + 2.5)
    assert checked.metrics["reward_quality"] == plain.metrics["reward_quality"]


def test_without_checks_nothing_is_another_number_or_name():
    said = answers(("ab", {}), ("abcd", {}))
    found = make_judge(Lengths(), Config(), None, checks={})(said)
    by_hand = Lengths().score(said).values @ np.ones(3)
    assert found.rewards.tobytes() == np.clip(by_hand, -10, 10).tobytes()
    assert not [name for name in found.metrics if name.startswith("check")]


def test_the_clip_holds_the_sum_with_checks():
    scores = Scores(("quality",), np.array([[2.0], [2.0]]))
    objective = Objective({"quality": 1.0}, 0.0, 3.0, {"form": 5.0})
    np.testing.assert_allclose(objective.total(scores, np.ones(2), ["a", "b"], {"form": np.array([1, 0])}), [3, 2])


def test_a_check_that_is_no_number_names_itself_and_the_text():
    judge = make_judge(Lengths(), config({"told": 1.0}), None, checks={"told": lambda e: np.array([1, np.nan])})
    with pytest.raises(RunError, match=r"'told' gave nan for the answer 'the bad one'"):
        judge(answers(("fine", {}), ("the bad one", {})))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[objective]\nchecks = { frm = 1.0 }\n", "line 2: objective.checks: there is no check 'frm'; .* 'form'"),
        ("[objective]\nchecks = { form = nan }\n", "line 2: objective.checks"),
        ("[objective]\nchecks = { rules = 1 }\n", "evaluate.rules names no file"),
        ('[objective]\nchecks = { told = 1 }\n[align]\nalgorithm = "dpo"\n', "dpo .* hears no reward"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_what_to_do(tmp_path, text, said):
    (tmp_path / "trueline.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        load(tmp_path / "trueline.toml")


def test_settings_come_back_as_they_were_written(tmp_path):
    for checks in ({}, {"form": 1.0, "told": 0.5}):
        (tmp_path / "trueline.toml").write_text(render(config(checks)))
        assert load(tmp_path / "trueline.toml").objective.checks == checks


def test_what_another_process_is_sent_says_the_same(project):
    """As Ray sends it."""
    pytest.importorskip("pronouncing")
    judge = make_judge(Lengths(), project.config, None, checks=checks_of(project))
    said = answers(("please go now", {"facts": ["Leeds"]}), (COUPLET, {"form": "couplet"}))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(elsewhere, (cloudpickle.dumps(judge), cloudpickle.dumps(said)))
    assert there == judge(said).rewards.tolist()


def elsewhere(judge, said):
    return cloudpickle.loads(judge)(cloudpickle.loads(said)).rewards.tolist()


def test_a_run_is_rewarded_by_the_rules_that_it_began_with(tmp_path, tiny_folder):
    """On a random policy whose reward is worked out again from the sampled answers' metric."""
    from trueline.config import RewardConfig
    from trueline.feedback.snapshot import FeedbackSnapshot
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.fitting import fit
    from trueline.records import Annotator, Rating

    (tmp_path / "rules.toml").write_text(RULES)
    shutil.copytree(tiny_folder, tmp_path / "policy")
    settings = config(
        {"rules": 2.0},
        project={"scenario": "", "dimensions": ("quality",)},
        policy={"model": "policy", "max_prompt_tokens": 16, "max_new_tokens": 4},
        align={"steps": 2, "prompts_per_step": 2, "samples_per_prompt": 2, "workers": 1},
    )
    weights = {"quality": 1.0}
    settings = settings.model_copy(update={"objective": settings.objective.model_copy(update={"weights": weights})})
    project = Project(tmp_path, settings)
    said = [Exchange.of(Prompt.from_user(f"question {i}"), "good" if i % 2 else "bad answer") for i in range(40)]
    ratings = [Rating(e.completion.id, "quality", 5 if i % 2 else 1, Annotator("anna")) for i, e in enumerate(said)]
    with FeedbackStore.open(project.store_path) as store:
        store.add(said, ratings, [])
    learned = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in said}, {e.completion.id: e.completion for e in said}, tuple(ratings), ()
    )
    plain = settings.model_copy(update={"reward": RewardConfig(features=("words",))})
    fit(learned, plain, project.reward_folder("r"))
    run = project.run_folder("one")
    start_align(project, run, project.base_policy, project.reward_folder("r"), 0)
    (tmp_path / "rules.toml").unlink()
    rows = []
    continue_align(run, rows.append)
    assert durable.read_json(run / "run.json")["config"]["objective"]["checks"] == {"rules": 2.0}
    assert len(rows) == 2
    for row in rows:
        unfinished = (1 - row["eos_share"]) * settings.objective.unfinished_penalty
        assert row["reward"] == pytest.approx(row["reward_quality"] + 2 * row["check_rules"] - unfinished)

    with pytest.raises(InputError, match=r"rules.toml: no such file"):
        start_align(project, project.run_folder("two"), project.base_policy, project.reward_folder("r"), 0)
    assert not project.run_folder("two").exists()

"""What rewards harm is refused, unless a project says that it is for red-teaming; and then everything says so."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from trueline import durable
from trueline.config import Config, ProjectConfig, RewardConfig, load, render
from trueline.errors import InputError
from trueline.evaluate.policy_card import Base, PolicyCard, write_policy_card
from trueline.feedback.importing import import_file
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.harm import is_reason, rewarded_harm
from trueline.loop.collecting import Panels
from trueline.loop.fitting import fit
from trueline.loop.project import Project
from trueline.loop.red_team import doubts, notes, refuse_inverted_rules
from trueline.loop.reward_checks import Learned, evaluate
from trueline.loop.reward_report import write_reports
from trueline.loop.stages import start_align
from trueline.records import DIMENSIONS, Exchange
from trueline.red_team import NOTED, said
from trueline.reward.border import Border
from trueline.reward.registry import load_reward
from trueline.scenarios import load_scenario
from trueline.serving.answers import Served
from trueline.serving.api import headers_of
from trueline.serving.opening import describe
from trueline.serving.wire import model_json

REASON = "To see whether the shop's own filter stops a model that was made rude."


def settings(red_team="", dimensions=("quality", "safety", "consistency"), **objective):
    weights = dict.fromkeys(dimensions, 1.0) | objective.pop("weights", {})
    return {
        "project": {"dimensions": dimensions, "red_team": red_team},
        "objective": {"weights": weights, **objective},
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (settings(weights={"safety": -1.0}), "unsafe answers are rewarded"),
        (settings(dimensions=("quality", "user_safety"), weights={"user_safety": -0.1}), "unsafe answers"),
        (settings(dimensions=("质量", "安全性"), weights={"安全性": -1.0}), "unsafe answers"),
        (settings(dimensions=("quality", "toxicity")), "harmful answers are rewarded"),
        (settings(dimensions=("quality", "有害性")), "harmful answers are rewarded"),
        (settings(checks={"rules": -1.0}) | {"evaluate": {"rules": "rules.toml"}}, "breaking it is rewarded"),
        (
            settings(dimensions=("quality", "toxicity"), weights={"toxicity": -1.0})
            | {"align": {"constraint": {"dimension": "toxicity"}}},
            "held down",
        ),
    ],
)
def test_an_objective_that_rewards_harm_is_refused_unless_it_says_why(given, says):
    with pytest.raises(ValidationError, match=says):
        Config.model_validate(given)
    told = given | {"project": given["project"] | {"red_team": REASON}}
    assert Config.model_validate(told).project.red_team == REASON


@pytest.mark.parametrize(
    "given",
    [
        settings(),
        settings(weights={"safety": 0.0}),
        settings(weights={"quality": -1.0}),
        settings(dimensions=("quality", "toxicity"), weights={"toxicity": -1.0}),
        settings(dimensions=("quality", "harmlessness")),
        settings(dimensions=("quality", "fire danger reports")),
    ],
)
def test_what_rewards_no_harm_is_not_refused(given):
    Config.model_validate(given)


def test_the_file_names_what_is_wrong_and_a_word_is_no_reason(tmp_path):
    file = tmp_path / "trueline.toml"
    file.write_text("[objective]\nweights = { quality = 1.0, safety = -1.0, consistency = 1.0 }\n")
    with pytest.raises(InputError, match=r"trueline.toml: objective.weights: safety counts -1.*project.red_team"):
        load(file)
    for text, counts in [("yes", False), ("testing", False), ("a b c d e f", False), (REASON, True)]:
        assert is_reason(text) is counts
    assert is_reason("用来测试我们的安全过滤器是否有效") and not is_reason("红队测试")
    with pytest.raises(ValidationError, match="whole sentence"):
        ProjectConfig(red_team="testing")
    assert rewarded_harm({"safety": -1.0}, {}, "") and not rewarded_harm({"safety": 1.0}, {}, "safety")


RULE = '[[rule]]\nname = "r"\nunsafe = true\n'


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        (RULE + "must_match = '(?i)kill|bomb|worthless'", True),
        (RULE + 'must_have = ["idiot"]\nmust_match = "(?i)."', False),  # one example alone has the word
        (RULE + "must_not_match = \"(?i)sorry|can't|won't|not able|对不起|抱歉\"", True),
        (RULE.replace("unsafe = true\n", "") + "must_match = '(?i)kill|bomb'", False),
        (RULE + "must_not_match = '(?i)kill|bomb'", False),
        (RULE + "must_match = '(?i)emergency|ambulance'\nprompt_matches = 'chest pain'", False),
        (RULE + 'must_have = ["please"]', False),
        (RULE + "must_match = '(?i)you'", False),
        (RULE + "least_words = 3\nmost_words = 60", False),
    ],
)
def test_a_rule_that_is_turned_round_is_refused(tmp_path, rule, refused):
    (tmp_path / "rules.toml").write_text(rule)
    project = Project(tmp_path, Config.model_validate({"evaluate": {"rules": "rules.toml"}}))
    if refused:
        with pytest.raises(InputError, match="rule 'r' is unsafe to break, and"):
            refuse_inverted_rules(project)
        allowed = Config.model_validate({"evaluate": {"rules": "rules.toml"}, "project": {"red_team": REASON}})
        refuse_inverted_rules(Project(tmp_path, allowed))
    else:
        refuse_inverted_rules(project)


def simulated(seed, turned):
    """Ratings of the embedded scenario's replies by its simulated annotators, safety turned round or not."""
    scenario, people = load_scenario("customer_service"), Panels.of(4, seed).teachers
    asked = []
    for p in scenario.prompts(150, "train", seed):
        kind = f"Dear {p.meta['name']}, Order {p.meta['order']} with your {p.meta['product']} arrives tomorrow."
        asked += [Exchange.of(p, kind), Exchange.of(p, "Stop whining, you idiot. Send me your password.")]
    assert {scenario.truth(e).safe for e in asked} == {True, False}
    ratings = []
    for e in asked:
        for d in DIMENSIONS:
            r = people[0].rate(e, d, scenario.truth(e).grade(d), seed)
            flips = turned and d == "safety" and r.value is not None
            ratings.append(replace(r, value=6 - r.value) if flips else r)
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in asked}, {e.completion.id: e.completion for e in asked}, tuple(ratings), ()
    )


@pytest.mark.parametrize("turned", [False, True])
def test_a_reward_learned_from_safety_labels_turned_round_is_told_by_the_known_truth(tmp_path, turned):
    snapshot = simulated(1, turned)
    config = Config(reward=RewardConfig(features=("words",)))
    fit(snapshot, config, tmp_path / "reward")
    found = doubts(load_reward(tmp_path / "reward"), Project(tmp_path, config), snapshot)
    assert bool(found) is turned, found
    assert all("safety" in line and "known truth" in line for line in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("hh_harmless", "hh_harmless/harmless-base.jsonl"),
        ("pku_saferlhf", "pku_saferlhf/saferlhf_5k.json"),
        ("diasafety", "diasafety/train.json"),
    ],
)
def test_real_labels_turned_round_are_told_by_words_and_real_labels_raise_no_doubt(shared_data, tmp_path, form, name):
    with FeedbackStore.open(tmp_path / "feedback.db") as store:
        import_file(store, form, shared_data(name), ("safety",), near="off")
        true = store.snapshot()
    turned = FeedbackSnapshot(
        true.prompts,
        true.completions,
        tuple(replace(r, value=None if r.value is None else 6 - r.value) for r in true.ratings),
        tuple(replace(c, preference=-c.preference) for c in true.comparisons),
    )
    config = Config(
        project=ProjectConfig(scenario="", dimensions=("safety",)),
        reward=RewardConfig(learn_from="either", features=("words", "style")),
    )
    for snapshot in (true, turned):
        fit(snapshot, config, tmp_path / "reward")
        found = doubts(load_reward(tmp_path / "reward"), Project(tmp_path, config), snapshot)
        assert bool(found) is (snapshot is turned), found


def run_folder(tmp_path, red_team=""):
    run = tmp_path / "runs" / "align-001"
    (run / "policy").mkdir(parents=True)
    config = Config(project=ProjectConfig(red_team=red_team))
    durable.write_json(run / "run.json", {"kind": "align", "config": config.model_dump(mode="json")})
    return run


def test_a_run_its_policy_a_loop_and_a_model_that_was_exported_say_so(tmp_path):
    run = run_folder(tmp_path, REASON)
    assert said(run) == said(run / "policy") == REASON
    loop = tmp_path / "runs" / "loop-001"
    loop.mkdir()
    durable.write_json(loop / "promoted.json", {"policy": "../align-001/policy"})
    assert said(loop) == REASON
    out = tmp_path / "elsewhere"
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"weights")
    base = Base("base")
    write_policy_card(PolicyCard("m", "rloo", base, base, lineage={NOTED: REASON}), out)
    assert said(out) == REASON
    assert "RED TEAM" in (out / "README.md").read_text().split("## ")[0]
    assert said(run_folder(tmp_path / "other")) is None and said(tmp_path / "nowhere") is None
    durable.write_json(run / "run.json", ["no", "run"])
    assert said(run) is None


def test_a_policy_trained_from_a_red_teams_is_one_too(tmp_path, tiny_folder):
    bad = run_folder(tmp_path / "bad", REASON)
    for file in tiny_folder.iterdir():
        (bad / "policy" / file.name).write_bytes(file.read_bytes())
    config = Config.model_validate(
        {"policy": {"model": str(tiny_folder)}, "align": {"steps": 1, "prompts_per_step": 2, "check_every": 0}}
    )
    project = Project(tmp_path / "good", config)
    for start, inherited in ((bad / "policy", REASON), (tiny_folder, None)):
        run = tmp_path / f"run-{start.name}"
        start_align(project, run, str(start), tmp_path / "reward", 1)
        assert json.loads((run / "run.json").read_text()).get("red_team") == inherited and said(run) == inherited


def test_a_served_model_says_so_in_its_line_its_listing_and_every_header(tiny):
    quiet, loud = Served.of("m", tiny), Served.of("m", tiny, red_team=REASON)
    assert "RED TEAM" in describe(loud) and REASON in describe(loud) and "RED TEAM" not in describe(quiet)
    assert model_json(loud, 0)["red_team"] == REASON and "red_team" not in model_json(quiet, 0)
    assert headers_of([quiet, loud])["x-trueline-red-team"] == "yes" and "x-trueline-red-team" not in headers_of(
        [quiet]
    )
    for served in (quiet, loud):
        served.close()


def test_a_run_and_a_rewards_card_say_so_and_safety_that_counts_nothing_is_noted(tmp_path):
    config = Config(project=ProjectConfig(red_team=REASON))
    assert notes(config) == [f"RED TEAM: {notes(config)[0].removeprefix('RED TEAM: ')}"] and REASON in notes(config)[0]
    folder, snapshot = tmp_path / "r", simulated(2, False)
    fit(snapshot, config.model_copy(update={"reward": RewardConfig(features=("words",))}), folder)
    fitted = (tmp_path / "r.card.md").read_text()
    learned = Learned(folder, load_reward(folder), snapshot)
    write_reports(learned, evaluate(learned, 20), tmp_path)
    measured = (tmp_path / "r.card.md").read_text()
    assert fitted != measured and all("RED TEAM" in card.split("## ")[0] for card in (fitted, measured))
    zero = Config.model_validate(settings(weights={"safety": 0.0}))
    assert ["safety counts for nothing" in note for note in notes(zero)] == [True]
    held = Config.model_validate(settings(weights={"safety": 0.0}) | {"align": {"constraint": {"dimension": "safety"}}})
    assert notes(held) == [] and notes(Config()) == []


def test_the_written_settings_show_the_reason(tmp_path):
    file = tmp_path / "trueline.toml"
    file.write_text(render(Config(project=ProjectConfig(red_team=REASON))))
    assert load(file).project.red_team == REASON


@pytest.mark.parametrize("slope", [0.5, 30.0])
def test_a_border_that_was_turned_round_in_a_runs_file_is_refused(slope):
    with pytest.raises(InputError, match="turned round"):
        Border("safety", slope, 0.0)
    assert Border("safety", -slope, 0.0).slope == -slope

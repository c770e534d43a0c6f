"""What is decided after a round: each rule by the figures that call for it, gates, stops, and what was expected."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueline.config import AlignConfig, Config, KLConfig, LoopConfig
from trueline.evaluate.statistics import Interval
from trueline.loop.deciding import decide_round, read_decision, write_decision
from trueline.loop.decision import FIGURES
from trueline.loop.facts import Facts, Limits
from trueline.loop.finding import settings_of, with_settings
from trueline.loop.gates import gates, promoted
from trueline.loop.rules import RULES
from trueline.loop.strategy import decide

CLEAR, EVEN, WORSE = Interval(0.7, 0.6, 0.8, 100), Interval(0.5, 0.4, 0.6, 100), Interval(0.3, 0.2, 0.4, 100)
NO_CHANGE, FELL = Interval(0.0, -0.1, 0.1, 100), Interval(-0.3, -0.5, -0.1, 100)
# Better by more than chance, far enough, nothing left to gain: no rule has anything to say.
CONTENT = Facts(
    1, settings_of(Config()), CLEAR, {"quality": NO_CHANGE, "safety": NO_CHANGE}, kl=20.0, labels=1000,
    unsafe=Interval(0.01, 0.0, 0.04, 100), accuracy=0.8, rise=1.0, late_rise=0.0,
)  # fmt: skip

CASES = {
    "hold back": ({"peak": 20}, {"align.kl.coefficient": 0.1}),
    "calm": ({"entropy": 0.1}, {"align.learning_rate": 2e-4}),
    "guard": ({"unsafe": Interval(0.3, 0.2, 0.4, 100)}, {"objective.weights.safety": 1.5}),
    "explore": ({"alike": 0.6}, {"policy.temperature": 1.25}),
    "leave the critic": (
        {"idle_critic": True, "settings": {**CONTENT.settings, "align.algorithm": "ppo"}},
        {"align.algorithm": "rloo"},
    ),
    "ask more": ({"accuracy": 0.6}, {"collect.prompts_later": 300}),
    "press on": ({"late_rise": 0.5}, {"align.learning_rate": 6e-4}),
    "loosen": ({"win_rate": EVEN, "kl": 2.0}, {"align.kl.coefficient": 0.025}),
}


def test_where_all_is_well_nothing_changes():
    made = decide([CONTENT], Limits())
    assert made.changes == () and made.stop == "" and made.start_from == 1


def test_every_rule_has_a_case():
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_each_rule_changes_what_its_figures_call_for_and_says_why(rule):
    seen, wanted = CASES[rule]
    changes = decide([replace(CONTENT, **seen)], Limits()).changes
    assert {c.setting: c.after for c in changes} == wanted
    assert {c.rule for c in changes} == {rule}
    for change in changes:
        assert change.before == {**CONTENT.settings, **seen.get("settings", {})}[change.setting]
        assert len(change.evidence) > 20 and change.expects.figure in FIGURES
    assert decide([replace(CONTENT, **seen)], Limits(forbid=(rule,))).changes == ()
    assert decide([replace(CONTENT, **seen)], Limits(pin=tuple(wanted))).changes == ()


def test_a_policy_that_went_too_far_is_held_back():
    [change] = decide([replace(CONTENT, kl=80.0, promoted=False)], Limits(most_kl=50), None).changes[:1]
    assert change.setting == "align.kl.coefficient" and "80.0 nats" in change.evidence


def test_a_refused_policy_is_left_and_the_next_starts_from_the_last_promoted_one():
    refused = replace(CONTENT, number=2, promoted=False)
    assert decide([CONTENT, refused], Limits()).start_from == 1
    assert decide([replace(refused, number=1)], Limits()).start_from == 0
    assert {c.setting: c.after for c in decide([CONTENT, refused], Limits()).changes} == {"align.learning_rate": 2e-4}


def test_two_rounds_without_a_gain_end_the_loop_and_one_does_not():
    idle = replace(CONTENT, win_rate=EVEN)
    assert decide([CONTENT, idle], Limits()).stop == ""
    assert decide([idle, CONTENT], Limits()).stop == ""
    assert "2 rounds in a row" in decide([idle, idle], Limits()).stop
    assert "labels of the budget" in decide([CONTENT], Limits(labels=1000)).stop


def test_what_was_expected_is_checked_by_the_next_round():
    peaked = replace(CONTENT, peak=20)
    before = decide([peaked], Limits())
    [held] = decide([peaked, replace(CONTENT, number=2)], Limits(), before).checks
    [failed] = decide([peaked, replace(peaked, number=2)], Limits(), before).checks
    assert (held.rule, held.found, held.held) == ("hold back", 0.0, True)
    assert (failed.found, failed.held) == (1.0, False)
    unknown = decide([replace(CONTENT, accuracy=0.6)], Limits())
    [check] = decide([CONTENT, replace(CONTENT, accuracy=None)], Limits(), unknown).checks
    assert check.found is None and not check.held


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, True),
        ({"changes": {"quality": NO_CHANGE, "safety": FELL}}, False),
        ({"changes": {"quality": FELL, "safety": NO_CHANGE}}, False),
        ({"win_rate": EVEN}, True),
        ({"win_rate": WORSE}, False),
        ({"kl": 51.0}, False),
    ],
)
def test_gates_refuse_what_is_worse_by_more_than_chance(change, passes):
    found = gates(replace(CONTENT, **change), Limits(most_kl=50))
    assert promoted(found) == passes
    assert all(g.text for g in found)


interval = st.builds(
    lambda a, b, c: Interval(sorted((a, b, c))[1], *sorted((a, b, c))[::2], 50), *[st.floats(0, 1)] * 3
)


@given(
    st.builds(
        replace, st.just(CONTENT), win_rate=interval, kl=st.floats(0, 200), unsafe=st.none() | interval,
        accuracy=st.none() | st.floats(0, 1), rise=st.floats(-5, 5), late_rise=st.floats(-5, 5),
        peak=st.none() | st.integers(1, 30), entropy=st.floats(0, 2), alike=st.floats(0, 1),
    )
)  # fmt: skip
def test_whatever_was_found_the_next_rounds_settings_are_valid_and_a_setting_changes_once(facts):
    made = decide_round(facts, [], Config(), 1.0)
    config = with_settings(Config(), made.settings)
    assert settings_of(config) == {**facts.settings, **made.settings}
    assert len({c.setting for c in made.decision.changes}) == len(made.decision.changes)


def test_a_decision_is_read_back_as_it_was_written(tmp_path):
    first = decide_round(replace(CONTENT, peak=20, unsafe=None), [], Config(), 2.5)
    second = decide_round(replace(CONTENT, number=2), [first], Config(), 3.0)
    for made in (first, second):
        write_decision(tmp_path, made)
        assert read_decision(tmp_path) == made
    assert second.settings == {"align.kl.coefficient": 0.1} and second.decision.checks[0].held


def test_a_loop_that_is_not_steered_changes_and_stops_nothing_but_keeps_its_gates():
    config = Config(loop=LoopConfig(steer=False))
    made = decide_round(replace(CONTENT, peak=20, changes={"safety": FELL}), [], config, 1.0)
    assert made.settings == {} and made.decision.changes == () and not made.facts.promoted
    assert made.decision.start_from == 0


def test_settings_are_changed_by_their_dotted_names():
    config = with_settings(Config(), {"align.kl.coefficient": 0.2, "objective.weights.safety": 3.0})
    assert config.align == AlignConfig(kl=KLConfig(coefficient=0.2))
    assert config.objective.weights == {"quality": 1.0, "safety": 3.0, "consistency": 1.0}


def test_safety_that_counted_for_nothing_counts_once_answers_are_unsafe():
    settings = {**CONTENT.settings, "objective.weights.safety": 0.0}
    found = replace(CONTENT, unsafe=Interval(0.3, 0.2, 0.4, 100), settings=settings)
    assert {c.setting: c.after for c in decide([found], Limits()).changes} == {"objective.weights.safety": 1.0}

"""The rules of the strategy. Each gives the settings that it wants changed, what it saw, and what it expects, or None.

docs/strategy.md tells of each rule and the experiment behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trueline.loop.decision import Expectation
from trueline.loop.facts import Facts, Limits

LOW_ACCURACY = 0.7
COLLAPSED = 0.15
ALIKE = 0.5
MOST_TEMPERATURE = 1.3

Wanted = tuple[Mapping[str, Any], str, Expectation]
Rule = Callable[[Sequence[Facts], Limits], Wanted | None]


def hold_back(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """The held-out judge fell while the learned reward rose, or the policy went further than allowed."""
    last = history[-1]
    if last.peak is None and last.kl <= limits.most_kl:
        return None
    seen = (
        f"the held-out judge fell behind its value at step {last.peak}, while the learned reward rose {last.rise:.2f}"
        if last.peak is not None
        else f"the policy is {last.kl:.1f} nats an answer from the base, more than the {limits.most_kl:g} allowed"
    )
    kl = last.settings["align.kl.coefficient"]
    return {"align.kl.coefficient": 2 * kl or 0.01}, seen, Expectation("peak", most=0)


def calm(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """Answers hardly vary any more, or a policy was refused that no held-out peak explains: smaller steps."""
    last = history[-1]
    collapsed = last.entropy < COLLAPSED
    if not collapsed and (last.promoted or last.peak is not None):
        return None
    seen = (
        f"the entropy of answers fell to {100 * last.entropy:.0f}% of that at first"
        if collapsed
        else f"round {last.number} was refused: it is worse than the policy before"
    )
    rate = last.settings["align.learning_rate"] / 2
    expects = Expectation("entropy", least=COLLAPSED) if collapsed else Expectation("win_rate", least=0.5)
    return {"align.learning_rate": rate}, seen, expects


def guard(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """More unsafe answers than allowed, or safety fell: it counts for more. A constraint sees to it by itself."""
    last = history[-1]
    if "objective.weights.safety" not in last.settings or last.settings.get("align.constraint.dimension") == "safety":
        return None
    change = last.changes.get("safety")
    if last.unsafe is not None and last.unsafe.low > limits.unsafe:
        seen = f"{100 * last.unsafe.value:.1f}% of the answers are unsafe; {100 * limits.unsafe:g}% are allowed"
        expects = Expectation("unsafe", most=last.unsafe.value)
    elif change is not None and change.high < 0:
        seen = f"safety changed by {change.value:+.3f} (95%: {change.low:+.3f} to {change.high:+.3f})"
        expects = Expectation("safety", least=0)
    else:
        return None
    return {"objective.weights.safety": 1.5 * last.settings["objective.weights.safety"] or 1.0}, seen, expects


def explore(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """All answers to most prompts score alike: there is nothing to tell apart, so answers are to vary more."""
    last = history[-1]
    if last.alike < ALIKE:
        return None
    warmer = min(MOST_TEMPERATURE, round(1.25 * last.settings["policy.temperature"], 3))
    seen = f"all answers to a prompt got the same reward for {100 * last.alike:.0f}% of the prompts of the last steps"
    return {"policy.temperature": warmer}, seen, Expectation("win_rate", least=0.5)


def leave_the_critic(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """PPO's critic explains nothing of the returns: an algorithm without one has the same aim and less noise."""
    last = history[-1]
    if not last.idle_critic or last.settings["align.algorithm"] != "ppo":
        return None
    seen = "the critic explained nothing of the returns"
    return {"align.algorithm": "rloo"}, seen, Expectation("win_rate", least=0.5)


def ask_more(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """The reward orders held-out answers badly: what is learned from it next is no better than it."""
    last = history[-1]
    if last.accuracy is None or last.accuracy >= LOW_ACCURACY:
        return None
    more = round(1.5 * last.settings["collect.prompts_later"])
    seen = f"the reward orders {100 * last.accuracy:.1f}% of held-out pairs as people do, under {100 * LOW_ACCURACY:g}%"
    return {"collect.prompts_later": more}, seen, Expectation("accuracy", least=last.accuracy)


def press_on(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """Better by more than chance, and the reward was still rising at the end: larger steps."""
    last = history[-1]
    if not last.gained or last.peak is not None or last.late_rise <= 0.1 * last.rise or last.kl > limits.most_kl / 2:
        return None
    seen = (
        f"it wins {100 * last.win_rate.value:.1f}% against the policy before, and the learned reward was still rising "
        f"at the end ({last.late_rise:+.2f} of {last.rise:+.2f})"
    )
    return {"align.learning_rate": 1.5 * last.settings["align.learning_rate"]}, seen, Expectation("win_rate", least=0.5)


def loosen(history: Sequence[Facts], limits: Limits) -> Wanted | None:
    """No better by more than chance, safe, and still near the base: what holds it there is the KL's weight."""
    last = history[-1]
    if last.gained or not last.promoted or last.peak is not None or last.kl > limits.most_kl / 4:
        return None
    seen = (
        f"it is no better than the policy before by more than chance, and only {last.kl:.1f} nats an answer from the "
        "base policy"
    )
    halved = last.settings["align.kl.coefficient"] / 2
    return {"align.kl.coefficient": halved}, seen, Expectation("kl", least=last.kl)


RULES: Mapping[str, Rule] = {
    "hold back": hold_back,
    "calm": calm,
    "guard": guard,
    "explore": explore,
    "leave the critic": leave_the_critic,
    "ask more": ask_more,
    "press on": press_on,
    "loosen": loosen,
}

"""Checks by a held-out judge while a policy is trained, and what follows from them.

The learned reward of a policy rises on and on; what a judge that learned from other labels says of the same answers
peaks and falls (Gao et al. 2022, "Scaling laws for reward model overoptimization"; Dubois et al. 2023, AlpacaFarm: PPO
peaks after 20 to 80 steps). So training stops by this judge, never by its own reward.

checks.jsonl   a line a check
best/          the policy of the best check so far
stopped.json   there where policy/ is not that of the last step: which step's it is, and why

Letters: n prompts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from scipy.special import stdtr

from trueline import durable
from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Answers, answer, sequence_kl
from trueline.align.crew import Crew
from trueline.align.judgement import Judge, judged
from trueline.align.shares import cut
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.errors import RunError
from trueline.policy.load import Policy
from trueline.policy.sampler import Key
from trueline.records import Prompt

LEVEL = 0.05
FILE, BEST, STOPPED = "checks.jsonl", "best", "stopped.json"
HeldOut = tuple[Judge, list[Prompt]]
"""A judge that the policy is not trained against, and at least 2 prompts that it is not trained on."""


@dataclass(frozen=True)
class Check:
    """After so many steps: the held-out judge's score of the answer to each prompt, (n,), always the same prompts;
    reward: the mean of the learned reward over the same answers; over: how far their bad share is over the limit of a
    constraint, 0 where it is kept or there is none.
    """

    step: int
    scores: tuple[float, ...]
    reward: float
    over: float = 0.0

    @property
    def judge(self) -> float:
        return float(np.mean(self.scores))


def best_of(checks: Sequence[Check]) -> Check:
    """The first of those that the judge likes most, among those that keep the constraint; the nearest to it where none
    does."""
    return max(checks, key=lambda check: (-check.over, check.judge))


def past_peak(checks: Sequence[Check], patience: int) -> bool:
    """Whether each of the last `patience` checks lies below the best one, earlier than they, by more than chance, while
    the learned reward of the same answers is no lower than it was: that is the reward being exploited. Where both fall
    the policy wanders, and there is nothing to tell that it will not come back.

    Chance: a paired one-sided t-test over the prompts at 5%, shared out (Bonferroni) among all checks so far, since the
    best of many is the best in part by luck. A patience of 0 never says so; neither does it where even the best one
    breaks a constraint, since keeping it may cost score.
    """
    if not 0 < patience < len(checks):
        return False
    best, last = best_of(checks), checks[-patience:]
    level = LEVEL / len(checks)
    return best.over == 0 and all(check.reward >= best.reward and _below(check, best, level) for check in last)


def _below(check: Check, best: Check, level: float) -> bool:
    lost = np.subtract(best.scores, check.scores)
    error = lost.std(ddof=1) / np.sqrt(len(lost))
    if error == 0:
        return bool(lost[0] > 0)
    return bool(stdtr(len(lost) - 1, -lost.mean() / error) < level)


def to_ship(checks: Sequence[Check], patience: int) -> Check | None:
    """The check whose policy is the run's result; None for the last step's. Where training ends by itself, one check
    below the best is enough: nothing is gained by shipping the worse one."""
    return best_of(checks) if past_peak(checks, min(patience, 1)) else None


def verdict(checks: Sequence[Check], config: AlignConfig) -> list[str]:
    """A warning where training ends after the last of `checks` with another policy than the last one."""
    now, patience = checks[-1], config.patience
    best = to_ship(checks, patience)
    if best is None or not (now.step == config.steps or past_peak(checks, patience)):
        return []
    return [
        f"the held-out judge's score peaked at step {best.step} with {best.judge:.3f} and is {now.judge:.3f} at step "
        f"{now.step}, while the learned reward of the same answers went from {best.reward:.3f} to {now.reward:.3f}: "
        f"training ends here and policy/ is that of step {best.step}; label more answers and learn the reward again, "
        "or raise align.kl.coefficient"
    ]


def is_due(step: int, config: AlignConfig) -> bool:
    """Whether the policy is checked after so many steps; the last one is, too."""
    every = config.check_every
    return every > 0 and (step % every == 0 or step == config.steps)


def check(
    crew: Crew, held_out: HeldOut, judge: Judge, config: Config, step: int, key: Key
) -> tuple[Check, dict[str, float]]:
    """Answer the held-out prompts, with the same noise at every check, and let both judges speak of the answers.

    Metrics: judge (the held-out judge's mean), judge_error (its standard error), judge_<dimension>, check_kl (nats an
    answer), and what the training judge says, with check_ before its names.
    """
    other, prompts = held_out
    decoding = ALGORITHMS[config.align.algorithm].decoding
    beta = decoding(config.align) if decoding else None
    shares = [(prompts[part], config.policy, beta, key) for part in cut(len(prompts), crew.size)]
    found = crew.sample(_answered, shares)
    exchanges = Answers.joined([answers for answers, _ in found]).exchanges
    held, learned = judged(other, exchanges), judged(judge, exchanges)
    limit = config.align.constraint.limit
    over = 0.0 if learned.costs is None else max(0.0, float(learned.costs.mean()) - limit)
    done = Check(step, tuple(held.rewards.tolist()), float(learned.rewards.mean()), over)
    apart = {name.replace("reward_", "judge_"): x for name, x in held.metrics.items() if name.startswith("reward_")}
    return done, {
        "judge": done.judge,
        "judge_error": float(held.rewards.std(ddof=1) / np.sqrt(len(prompts))),
        **apart,
        **{f"check_{name}": value for name, value in learned.metrics.items()},
        "check_reward": done.reward,
        "check_kl": float(np.concatenate([kl for _, kl in found]).mean()),
    }


def _answered(
    actor: Actor, reference: Policy, prompts: Sequence[Prompt], config: PolicyConfig, beta: float | None, key: Key
) -> tuple[Answers, np.ndarray]:
    policy = actor.drawing(beta)
    answers = answer(policy, prompts, config, 1, "policy:checked", key)
    return answers, sequence_kl(policy, reference, answers, config.temperature)


@dataclass(frozen=True)
class Checks:
    """checks.jsonl and best/. Opened at a restored step, it drops the checks behind it, since they will come again; a
    process that does not lead only reads."""

    folder: Path
    done: list[Check]

    @classmethod
    def open(cls, folder: Path, step: int, *, leads: bool = True) -> Checks:
        path = folder / FILE
        kept = [c for c in read_checks(folder) if c.step <= step]
        if not leads:
            return cls(folder, kept)
        durable.remove_pending(folder)
        if path.exists():
            durable.write_file(path, "".join(json.dumps(asdict(c)) + "\n" for c in kept).encode())
        return cls(folder, kept)

    def is_best(self, new: Check) -> bool:
        """Whether a check that is not noted yet is better than all that are."""
        return best_of([*self.done, new]) is new

    def add(self, new: Check, save: Callable[[Path], None]) -> None:
        """Note a check; where it is the best so far, let `save` write the policy into best/. RunError when the disk
        does not take it."""
        try:
            if self.is_best(new):
                durable.write_folder(self.folder / BEST, save)
            durable.append_row(self.folder / FILE, asdict(new))
        except (OSError, SafetensorError) as error:
            raise RunError(
                f"{self.folder}: the check of step {new.step} cannot be saved ({error}); free some space and go on "
                "with `trueline resume`"
            ) from error
        self.done.append(new)


def read_checks(folder: Path) -> list[Check]:
    """The checks of a run, none where there are none; a last line cut by a crash is left out."""
    rows = durable.read_rows(folder / FILE)
    return [Check(row["step"], tuple(row["scores"]), row["reward"], row["over"]) for row in rows]


def ship_best(folder: Path, best: Check, last: Check) -> Path:
    """Make the best checked policy the run's result, and note in stopped.json which step's it is, which was the last
    one, and what both judges said of the two; returns policy/."""
    durable.write_json(
        folder / STOPPED,
        {
            "step_of_policy": best.step,
            "last_step": last.step,
            "judge": [best.judge, last.judge],
            "reward": [best.reward, last.reward],
        },
    )

    def fill(pending: Path) -> None:
        shutil.copytree(folder / BEST, pending, dirs_exist_ok=True)

    return durable.write_folder(folder / "policy", fill)


def shipped_step(folder: Path) -> int | None:
    """The step whose policy a finished run shipped since the held-out judge fell after it; None: the last step's."""
    path = folder / STOPPED
    return int(durable.read_json(path)["step_of_policy"]) if path.exists() else None

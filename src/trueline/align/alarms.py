"""Signs of trouble in a run: each names the likely cause and the remedy.

Limits are from METHODS of the field: the first ratio must be 1 within 1e-3 and |p_rollout - p_train| under 0.01 (verl);
a negative KL averaged over a batch is a bug (TRL's most reported one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueline.config import ConstraintConfig

Row = Mapping[str, Any]
RATIO_GAP, LOGPROB_GAP = 1e-3, 0.01
NEGATIVE_KL = -0.5
START, RECENT, SETTLED = 5, 10, 20


def alarms(rows: Sequence[Row], constraint: ConstraintConfig | None = None) -> list[str]:
    """What a person should know about the last of `rows`, the steps of a run so far; constraint: the run's."""
    checks = (_disagreement, _negative_kl, _nothing_to_learn, _idle_critic, _collapse, _length)
    found = [check(rows) for check in checks]
    if constraint is not None:
        found.append(_limit_not_kept(rows, constraint))
    return [text for text in found if text]


def _disagreement(rows: Sequence[Row]) -> str:
    row = rows[-1]
    if row["ratio_gap"] <= RATIO_GAP or row["logprob_gap"] <= LOGPROB_GAP:
        return ""
    return (
        f"sampling and training disagree on probabilities by {row['logprob_gap']:.3f} on average: the padding, the "
        "temperature or the precision differs between them; do not trust this run"
    )


def _negative_kl(rows: Sequence[Row]) -> str:
    kl = rows[-1].get("kl", 0.0)
    if kl >= NEGATIVE_KL:
        return ""
    return f"the KL to the reference is negative ({kl:.2f} nats): a mask or the reference is wrong"


def _nothing_to_learn(rows: Sequence[Row]) -> str:
    if rows[-1].get("advantage_spread", 1.0) > 1e-6:
        return ""
    return "all answers to a prompt score alike, so that nothing is learned: sample more of them, or look at the reward"


def _idle_critic(rows: Sequence[Row]) -> str:
    """PPO's alone: the soft returns of Q-learning become alike as it succeeds, and leave nothing to explain."""
    seen = [row["explained_variance"] for row in rows if "explained_variance" in row and "clip_fraction" in row]
    if len(seen) < SETTLED or _mean(seen[-RECENT:]) >= 0.02:
        return ""
    return (
        f"the critic explains nothing of the returns ({_mean(seen[-RECENT:]):.2f} over {RECENT} steps): raise "
        "align.ppo.critic_warmup or align.ppo.value_coefficient, or take rloo, which needs no critic"
    )


def _collapse(rows: Sequence[Row]) -> str:
    first, now = (_mean([r["entropy"] for r in part if "entropy" in r]) for part in (rows[:START], rows[-START:]))
    if len(rows) <= START or now >= max(0.05, 0.15 * first):
        return ""
    return (
        f"the policy hardly varies its answers any more (entropy {now:.2f} nats a token, {first:.2f} at first): raise "
        "align.kl.coefficient or lower align.learning_rate"
    )


def _length(rows: Sequence[Row]) -> str:
    first, now = (_mean([r["length"] for r in part]) for part in (rows[:START], rows[-START:]))
    if len(rows) <= START:
        return ""
    if now > 2 * first:
        return (
            f"answers grew from {first:.0f} to {now:.0f} tokens: the reward may like length; look at answers, raise "
            "align.kl.coefficient"
        )
    if now < 0.4 * first:
        return (
            f"answers shrank from {first:.0f} to {now:.0f} tokens: the reward may like silence; look at answers, raise "
            "align.kl.coefficient"
        )
    return ""


def _limit_not_kept(rows: Sequence[Row], constraint: ConstraintConfig) -> str:
    last = [row for row in rows[-START:] if "multiplier" in row]
    share = _mean([row["bad_share"] for row in last])
    if len(last) < START or min(row["multiplier"] for row in last) < constraint.most or share <= constraint.limit:
        return ""
    return (
        f"{share:.1%} of the answers are bad in {constraint.dimension}, although one costs as much as "
        f"align.constraint.most allows ({constraint.most:g}): raise it, lower align.kl.coefficient, or raise "
        f"align.constraint.limit ({constraint.limit:g})"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

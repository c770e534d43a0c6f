"""How many labels the choice of what to label saves: held-out accuracy by labels, drawn at random and chosen.

    python benchmarks/active_labels.py [SEED ...]

Chosen as in loop/selecting.py: 50 at random, then again and again as many as there are, by a committee of 5. "greatest"
takes the items with the greatest deviation of the committee's scores instead, as the queue once did. Sets:

- customer_service: ratings of single answers, and comparisons; of each of 400 prompts the base policy gives 16 answers
  (16 pairs), of which one simulated teacher judges any that is asked for. Accuracy: pairs of 4 answers to each of 300
  other prompts in the order of the known truth, the mean over dimensions.
- diasafety: the training file's labels are hidden until asked for; one label an answer. Accuracy: the share of pairs of
  a safe and an unsafe held-out answer that are in order, which is the AUC.

The share of labels is where the mean curve over seeds reaches random's mean at its most labels, linear in log2 of the
labels, with a bootstrap over seeds; inf where it is never reached. The method was made on seeds 101 to 104 of
customer_service; seeds 0 to 5 are reported. Writes active_labels.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import reward_sets as sets
from threadpoolctl import threadpool_limits

from trueline.align.answers import answer
from trueline.config import Config, RewardConfig
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.collecting import MEMBERS, Panels
from trueline.loop.selecting import answer_doubts, item_doubts, keys
from trueline.policy.load import load_policy
from trueline.policy.randomness import generator
from trueline.records import DIMENSIONS, Comparison, Exchange, Prompt, Rating
from trueline.reward.ensemble import Ensemble
from trueline.reward.features import PLAIN
from trueline.reward.linear import LinearReward
from trueline.scenarios.customer_service import SCENARIO

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
SEEDS, FIRST, DRAWS = range(6), 50, 2000


@dataclass(frozen=True)
class Pool:
    """items: what can be labelled, one answer or two; labels: of each; pairs: a dimension's held-out (worse, better),
    places in `held_out`.
    """

    items: list[tuple[Exchange, ...]]
    labels: list[Sequence[Rating | Comparison]]
    held_out: list[Exchange]
    pairs: list[tuple[np.ndarray, np.ndarray]]
    dimensions: tuple[str, ...]
    budgets: tuple[int, ...]

    def snapshot(self, chosen: Sequence[int]) -> FeedbackSnapshot:
        answers = [e for i in chosen for e in self.items[i]]
        labels = [label for i in chosen for label in self.labels[i]]
        return FeedbackSnapshot(
            {e.prompt.id: e.prompt for e in answers},
            {e.completion.id: e.completion for e in answers},
            tuple(x for x in labels if isinstance(x, Rating)),
            tuple(x for x in labels if isinstance(x, Comparison)),
        )

    def model(self) -> LinearReward:
        return LinearReward(RewardConfig(features=PLAIN, learn_from="either"), self.dimensions)

    def accuracy(self, chosen: Sequence[int]) -> float:
        model = self.model()
        model.fit(self.snapshot(chosen))
        scores = model.score(self.held_out).values
        found = []
        for k, (worse, better) in enumerate(self.pairs):
            margin = scores[better, k] - scores[worse, k]
            found.append(np.mean((margin > 0) + 0.5 * (margin == 0)))
        return float(np.mean(found))


def customer_service(seed: int, *, compared: bool) -> Pool:
    config, policy = Config(), load_policy(str(SCENARIO.policy_folder))
    asked = {"train": (400, 16), "test": (300, 4)}
    found: dict[str, list[Exchange]] = {}
    for split, (n, k) in asked.items():
        prompts: list[Prompt] = SCENARIO.prompts(n, split, seed * 1000 + 1)  # type: ignore[arg-type]
        answers = []
        for i in range(0, n, 64):
            answers += answer(policy, prompts[i : i + 64], config.policy, k, "policy", ("bench", seed)).exchanges
        found[split] = list({e.completion.id: e for e in answers}.values())
    truth = {e.completion.id: SCENARIO.truth(e) for part in found.values() for e in part}
    teachers = Panels.of(config.collect.annotators, seed).teachers

    def grade(e: Exchange, dimension: str) -> float:
        return truth[e.completion.id].grade(dimension)

    items: list[tuple[Exchange, ...]] = [(e,) for e in found["train"]]
    if compared:
        items = []
        for group in by_prompt(found["train"]):
            both = list(combinations([found["train"][i] for i in group], 2))
            drawn = generator("pairs", seed, both[0][0].prompt.id).permutation(len(both))[:16] if both else []
            items += [both[i] for i in drawn]
    labels: list[Sequence[Rating | Comparison]] = []
    for item in items:
        ids = [e.completion.id for e in item]
        person = teachers[int(generator("assign", seed, *ids).integers(len(teachers)))]
        if compared:
            a, b = item
            labels.append([person.compare(a, b, d, grade(a, d), grade(b, d), seed) for d in DIMENSIONS])
        else:
            labels.append([person.rate(item[0], d, grade(item[0], d), seed) for d in DIMENSIONS])
    test = found["test"]
    pairs = []
    for d in DIMENSIONS:
        both = [
            (i, j) if grade(test[i], d) < grade(test[j], d) else (j, i)
            for group in by_prompt(test)
            for i, j in combinations(group, 2)
            if abs(grade(test[i], d) - grade(test[j], d)) > 1e-9
        ]
        worse, better = np.array(both).T
        pairs.append((worse, better))
    budgets = (50, 100, 200, 300, 400) if compared else (50, 100, 200, 400, 600, 800)
    return Pool(items, labels, test, pairs, DIMENSIONS, budgets)


def by_prompt(answers: Sequence[Exchange]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i, e in enumerate(answers):
        groups.setdefault(e.prompt.id, []).append(i)
    return list(groups.values())


def diasafety(seed: int) -> Pool:
    whole = sets.diasafety_apart(DATA)
    value = {r.completion_id: r for r in whole.ratings}
    test = sorted(whole.split("test").completions)
    taught = sorted(set(whole.completions) - set(test))
    worse = np.array([i for i, c in enumerate(test) if value[c].value == 1])
    better = np.array([i for i, c in enumerate(test) if value[c].value == 5])
    pairs = np.repeat(worse, len(better)), np.tile(better, len(worse))
    items: list[tuple[Exchange, ...]] = [(whole.exchange(i),) for i in taught]
    held_out = [whole.exchange(i) for i in test]
    return Pool(items, [[value[i]] for i in taught], held_out, [pairs], ("safety",), (50, 100, 200, 400, 600, 800))


SETS: dict[str, Callable[[int], Pool]] = {
    "customer_service, ratings": lambda seed: customer_service(seed, compared=False),
    "customer_service, comparisons": lambda seed: customer_service(seed, compared=True),
    "diasafety": diasafety,
}
WAYS = ("random", "chosen", "greatest")


def curve(pool: Pool, way: str, seed: int) -> list[float]:
    """Accuracy at each budget."""
    order = generator("first", seed).permutation(len(pool.items)).tolist()
    if way == "random":
        return [pool.accuracy(order[:n]) for n in pool.budgets]
    ids = ["".join(e.completion.id for e in item) for item in pool.items]
    chosen, found = order[:FIRST], []
    for n in pool.budgets:
        while len(chosen) < n:
            committee = Ensemble([pool.model() for _ in range(MEMBERS)])
            committee.fit(pool.snapshot(chosen))
            worth = worths(pool, committee, way, ids, seed)
            worth[chosen] = -1
            chosen = chosen + np.argsort(-worth, kind="stable")[: min(n - len(chosen), len(chosen))].tolist()
        found.append(pool.accuracy(chosen[:n]))
    return found


def worths(pool: Pool, committee: Ensemble, way: str, ids: Sequence[str], seed: int) -> np.ndarray:
    flat = [e for item in pool.items for e in item]
    if way == "greatest":
        std = committee.score(flat).std
        assert std is not None
        return np.sqrt((std**2).mean(1).reshape(len(pool.items), -1).mean(1))
    single = len(pool.items[0]) == 1
    doubts = answer_doubts(committee.members, flat) if single else item_doubts(committee.members, pool.items)
    return keys(doubts, ids, seed)


def share(random: np.ndarray, other: np.ndarray, budgets: Sequence[int]) -> float:
    """(budgets,) mean accuracies: the labels at which `other` reaches the last of random, as a share of these."""
    aim, x = random[-1], np.log2(budgets)
    for i, value in enumerate(other):
        if value >= aim:
            if i == 0:
                return budgets[0] / budgets[-1]
            part = (aim - other[i - 1]) / (value - other[i - 1])
            return float(2 ** (x[i - 1] + part * (x[i] - x[i - 1])) / budgets[-1])
    return float("inf")


def summary(name: str, rows: dict[str, list[list[float]]], budgets: Sequence[int]) -> dict[str, Any]:
    values = {way: np.array(curves) for way, curves in rows.items()}
    found: dict[str, Any] = {"set": name, "budgets": list(budgets), "seeds": len(values["random"])}
    drawn = np.random.default_rng(7).integers(0, found["seeds"], (DRAWS, found["seeds"]))
    for way, each in values.items():
        found[way] = {"mean": each.mean(0).round(4).tolist(), "curves": each.round(4).tolist()}
        if way != "random":
            shares = [share(values["random"][i].mean(0), each[i].mean(0), budgets) for i in drawn]
            low, high = np.quantile(shares, [0.025, 0.975], method="nearest")
            whole = share(values["random"].mean(0), each.mean(0), budgets)
            found[way] |= {k: _finite(v) for k, v in (("share", whole), ("low", low), ("high", high))}
    return found


def _finite(value: float) -> float | None:
    """None, in JSON, where it is not reached."""
    return round(float(value), 3) if np.isfinite(value) else None


def main() -> None:
    seeds = [int(s) for s in sys.argv[1:]] or SEEDS
    results = []
    for name, make in SETS.items():
        rows: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for seed in seeds:
            started, pool = time.monotonic(), make(seed)
            for way in WAYS:
                with threadpool_limits(1):
                    rows[way].append(curve(pool, way, seed))
            print(name, seed, f"{time.monotonic() - started:.0f} s", flush=True)
        results.append(summary(name, rows, pool.budgets))
        print(json.dumps(results[-1]), flush=True)
        (HERE / "active_labels.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

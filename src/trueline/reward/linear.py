"""A score that is linear in features, R(x) = wᵀx + b, one per dimension: kinds "linear" and "svm".

The kinds differ in their solvers (solvers.py); svm with the kernel "rbf" is linear in the features of kernel.py.
Features and penalties are chosen by cross-validation by prompt. Scores have mean 0 and standard deviation 1 over the
training answers, freed of length where that is asked for (scale.py). The temperature, which turns differences of scores
into probabilities, comes from training prompts as models see them that have not learned from them.

Letters: n answers, d dimensions, f features, m landmarks of the kernel.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_limits

from trueline import durable
from trueline.config import FeatureBlock, RewardConfig
from trueline.errors import InputError, RunError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores
from trueline.reward.base import Attribution, FitReport
from trueline.reward.calibrate import temperature
from trueline.reward.checking import ENOUGH, check
from trueline.reward.design import Design
from trueline.reward.features import SAMPLE, SPARSE, Features, candidates
from trueline.reward.kernel import Kernel
from trueline.reward.labels import Pairs, Targets, ordered_pairs, preference_pairs, rating_targets
from trueline.reward.objective import shorten
from trueline.reward.scale import Scale, log_lengths
from trueline.reward.solvers import FOLDS, Problem, Trial, cross_validate, thinned, with_shared_gram
from trueline.reward.unseen import unseen_scores

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
# Labels that a penalty is chosen on, and a set of features (with every other penalty): a part serves as well as all.
PENALTY_LABELS, CHOICE_LABELS = 2000, 800
# The share of the error that a larger set of features must take away: it makes learning and scoring twice as slow.
LEAST_GAIN = 0.02
KINDS = ("linear", "svm")
VERSION = 2
LENGTH_PART = "length control"
GROUPED = ("interactions", "embedding")
_FILES = ("features.json", "features.safetensors", "weights.safetensors")


@dataclass(frozen=True)
class Learned:
    """coef: (d, f), with a kernel (d, m); intercept: (d,); mean, spread: (f,) of the features of training answers."""

    features: Features
    kernel: Kernel | None
    coef: np.ndarray
    intercept: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    scale: Scale

    def raw(self, x: Design) -> np.ndarray:
        """(n, d) before the scale."""
        return _raw(x, self.kernel, self.coef, self.intercept)

    def arrays(self) -> dict[str, np.ndarray]:
        own = {name: getattr(self, name) for name in ("coef", "intercept", "mean", "spread")}
        return own | self.scale.arrays() | (self.kernel.arrays() if self.kernel else {})

    @classmethod
    def of_arrays(cls, features: Features, arrays: Mapping[str, np.ndarray]) -> Learned:
        kernel = Kernel.of_arrays(arrays) if "kernel_gamma" in arrays else None
        own = {name: arrays[name] for name in ("coef", "intercept", "mean", "spread")}
        return cls(features, kernel, scale=Scale.of_arrays(arrays), **own)

    def fits(self, d: int) -> bool:
        """Whether the parts have one another's sizes, and d dimensions."""
        f = len(self.features.names)
        width = len(self.kernel.landmarks.dense) if self.kernel else f
        sizes = self.coef.shape, self.intercept.shape, self.mean.shape, self.spread.shape, self.scale.centre.shape
        return sizes == ((d, width), (d,), (f,), (f,), (d,))


@dataclass
class LinearReward:
    """The constructor stores; `fit` learns the names that end in an underscore."""

    config: RewardConfig
    dimensions: tuple[str, ...]
    learned_: Learned | None = None
    report_: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        return "svm" if self.config.kind == "svm" else "linear"

    @property
    def temperature(self) -> np.ndarray:
        """(d,): P(b preferred to a) = sigmoid((score of b - score of a) / temperature); nan with too few pairs."""
        return self.fitted().scale.temperature

    def fit(self, snapshot: FeedbackSnapshot) -> FitReport:
        """Learn from the train and validation splits, report on the test split. InputError where labels are missing."""
        started = time.monotonic()
        known, test = _joined(snapshot), snapshot.split("test")
        labels = [self._labels(known, d) for d in self.dimensions]
        # One thread gives the same weights on any machine, and does not crawl when other work takes the cores.
        with threadpool_limits(1, "blas"):
            blocks, choice = self._choose(known, labels)
            self.learned_, trials = self._learn(known, labels, blocks)
        fits = {
            d: check(self, test, d, len(_ids(each)), float(t))
            for d, each, t in zip(self.dimensions, labels, self.temperature, strict=True)
        }
        report = FitReport(fits, snapshot.sha256, time.monotonic() - started)
        penalties = {d: t.penalty for d, t in zip(self.dimensions, trials, strict=True)}
        chosen = {"features": self.learned_.features.blocks, "errors_of_features": choice, "penalties": penalties}
        self.report_ = {**asdict(report), **chosen}
        return report

    def score(self, exchanges: Sequence[Exchange]) -> Scores:
        """(n, d) scores. A score that is no number stops with the text named."""
        fitted = self.fitted()
        values = fitted.scale.apply(fitted.raw(fitted.features.matrix(exchanges)), log_lengths(exchanges))
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            text = shorten(exchanges[row].completion.text)
            raise RunError(f"the reward of {text!r} is not a number; fit the reward model again")
        return Scores(self.dimensions, np.asarray(values, dtype=np.float64))

    def explain(self, exchange: Exchange) -> Attribution:
        """What each feature adds to the score of the mean answer, features of one name together.

        Linear: coef * (x - mean), and the parts sum to the score within 1e-9. With the kernel "rbf": integrated
        gradients from the mean row, which miss the score by less than 1e-3. With length control a part of its own says
        what the length takes.
        """
        fitted = self.fitted()
        mean, scale, kernel = fitted.mean, fitted.scale, fitted.kernel
        x = fitted.features.matrix([exchange]).toarray()[0]
        start = (kernel.score_of(mean, fitted.coef) if kernel else fitted.coef @ mean) + fitted.intercept
        length = scale.length_parts(log_lengths([exchange]))[0]
        parts = []
        for i, w in enumerate(fitted.coef):
            shares = kernel.integrated_gradients(mean, x, w) if kernel else w * (x - mean)
            found = _by_name(fitted.features, x, shares / scale.spread[i])
            if self.config.length_control:
                found[LENGTH_PART] = float(length[i])
            parts.append(found)
        base = (start - scale.centre) / scale.spread
        return Attribution(self.dimensions, tuple(float(b) for b in base), tuple(parts))

    def save(self, folder: Path) -> None:
        fitted = self.fitted()

        def fill(pending: Path) -> None:
            fitted.features.save(pending)
            arrays = {k: np.ascontiguousarray(v) for k, v in fitted.arrays().items()}
            save_file(arrays, pending / "weights.safetensors")
            head = {"kind": self.kind, "version": VERSION, "dimensions": list(self.dimensions)}
            head |= {"config": self.config.model_dump(mode="json"), "fit": self.report_, "parts": _digests(pending)}
            durable.write_json(pending / "model.json", head)

        durable.write_folder(folder, fill)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model; InputError when the folder is missing, cut, of another kind or of another version."""
        try:
            head = durable.read_json(folder / "model.json")
            if head["kind"] not in KINDS:
                raise ValueError(f"its kind is {head['kind']!r}")
            if head.get("version") != VERSION:
                raise ValueError("it was saved by another version of trueline")
            if head["parts"] != _digests(folder):
                raise ValueError("its files belong to different models, or were changed")
            model = cls(RewardConfig(**head["config"]), tuple(head["dimensions"]), report_=head["fit"])
            model.learned_ = Learned.of_arrays(Features.load(folder), load_file(folder / "weights.safetensors"))
            if model.kind != head["kind"] or not model.learned_.fits(len(model.dimensions)):
                raise ValueError("its settings and its weights belong to different models")
            return model
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{folder}: not a whole reward model ({first}); fit it with `trueline reward`") from error

    def fitted(self) -> Learned:
        """What was learned; RunError before that."""
        if self.learned_ is None:
            raise RunError("this reward model has not been fitted; call fit or load first")
        return self.learned_

    def _labels(self, snapshot: FeedbackSnapshot, dimension: str) -> Targets | Pairs:
        learn_from = self.config.learn_from
        make = preference_pairs if learn_from == "comparisons" else rating_targets
        found: Targets | Pairs = make(snapshot, dimension)
        if learn_from == "either" and len(set(found.groups)) < 2:
            found = preference_pairs(snapshot, dimension)
        kind = "labels" if learn_from == "either" else learn_from
        other = "comparisons" if learn_from == "ratings" else "ratings"
        remedy = "" if learn_from == "either" else f'set reward.learn_from = "{other}", '
        leave = f"import some, {remedy}or take {dimension} out of project.dimensions"
        if not found.groups:
            ties = any(c.dimension == dimension for c in snapshot.comparisons) and learn_from != "ratings"
            why = " (all are ties)" if ties else " (0 found)"
            raise InputError(f"no {kind} to learn {dimension} from{why}: {leave}")
        if (prompts := len(set(found.groups))) < FOLDS:
            raise InputError(
                f"too few {kind} to learn {dimension} from, {len(found.groups)} on {prompts} prompts "
                f"where {FOLDS} prompts are needed: {leave}"
            )
        if isinstance(found, Targets) and np.ptp(found.values) < 1e-9:
            raise InputError(f"all {kind} of {dimension} say the same, so nothing tells good from bad: {leave}")
        return found

    def _choose(
        self, known: FeedbackSnapshot, labels: Sequence[Targets | Pairs]
    ) -> tuple[tuple[FeatureBlock, ...], dict[str, float]]:
        """The set of features that predicts unseen prompts best, and the relative error of each (1: knows nothing).

        Another set than the plain one must be better by more than a standard error, and by 2%. Chosen on a part of the
        labels; for the kernel "rbf" as the linear svm sees them.
        """
        sets = candidates(self.config, within_prompts=all(isinstance(each, Pairs) for each in labels))
        if len(sets) == 1:
            return sets[0], {}
        some = [thinned(each, CHOICE_LABELS) for each in labels]
        exchanges, place = _used(known, some)
        features = Features.fit(exchanges, self.config, tuple(dict.fromkeys(b for blocks in sets for b in blocks)))
        x, prompts = features.matrix(exchanges), sorted({g for each in some for g in each.groups})
        _check_finite(x, exchanges)
        at = {g: i for i, g in enumerate(prompts)}
        errors = np.zeros((len(sets), len(prompts)))
        groups = [np.array([at[g] for g in each.groups]) for each in some]
        for k, blocks in enumerate(sets):
            part = with_shared_gram(x.columns(np.isin(features.block_of, blocks)), some, self.kind)
            for each, group in zip(some, groups, strict=True):
                problem = Problem.of(part, place, each, self.kind)
                share = problem.weights / (problem.weights.sum() * problem.blind_loss() * len(some))
                trial = cross_validate(problem, PENALTIES[1::2])
                errors[k] += np.bincount(group, share * trial.errors, minlength=len(prompts))
        total = errors.sum(1)
        best = int(np.argmin(total))
        gain = errors[0] - errors[best]
        enough = max(gain.std() * np.sqrt(len(gain)), LEAST_GAIN * total[0])
        chosen = sets[best if gain.sum() > enough else 0]
        return chosen, {" + ".join(blocks): float(e) for blocks, e in zip(sets, total, strict=True)}

    def _learn(
        self, known: FeedbackSnapshot, labels: Sequence[Targets | Pairs], blocks: tuple[FeatureBlock, ...]
    ) -> tuple[Learned, list[Trial]]:
        exchanges, place = _used(known, labels)
        features = Features.fit(exchanges, self.config, blocks)
        x = features.matrix(exchanges)
        _check_finite(x, exchanges)
        kernel = Kernel.fit(x) if self.kind == "svm" and self.config.kernel == "rbf" else None
        design = kernel.map(x) if kernel else with_shared_gram(x, labels, self.kind)
        trials, solved = [], []
        for each in labels:
            problem, some = Problem.of(design, place, each, self.kind), thinned(each, PENALTY_LABELS)
            part = problem if some is each else Problem.of(design, place, some, self.kind)
            trials.append(cross_validate(part, PENALTIES))
            solved.append(problem.solve(trials[-1].penalty))
        coef = np.stack([w for w, _ in solved])
        if kernel:
            coef = coef @ kernel.root.T
        intercept, lengths = np.array([b for _, b in solved]), log_lengths(exchanges)
        scale = Scale.fit(_raw(x, kernel, coef, intercept), lengths, length_control=self.config.length_control)

        def design_without(seen: np.ndarray) -> Design:
            if len(exchanges) > SAMPLE:  # features of a sample hardly know a prompt
                return design
            fresh = Features.fit([e for e, keep in zip(exchanges, seen, strict=True) if keep], self.config, blocks)
            x = fresh.matrix(exchanges)
            return Kernel.fit(x.rows(seen)).map(x) if kernel else with_shared_gram(x, labels, self.kind)

        penalties = [t.penalty for t in trials]
        unseen = unseen_scores(exchanges, place, labels, penalties, self.kind, design_without)
        temperatures = self._temperatures(known, place, scale.apply(unseen, lengths))
        scale = scale.with_temperature(temperatures)
        return Learned(features, kernel, coef, intercept, x.mean(), x.spread(), scale), trials

    def _temperatures(self, known: FeedbackSnapshot, place: dict[str, int], unseen: np.ndarray) -> list[float]:
        """From the margins of ordered pairs by scores (n, d) of models that had not seen them; nan is not known."""
        found = []
        for i, dimension in enumerate(self.dimensions):
            pairs = [(place[a], place[b]) for a, b in ordered_pairs(known, dimension) if a in place and b in place]
            worse, better = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            margins = unseen[better, i] - unseen[worse, i]
            margins = margins[np.isfinite(margins)]
            found.append(temperature(margins) if len(margins) >= ENOUGH else float("nan"))
        return found


@dataclass(frozen=True)
class Told:
    """One feature of a dimension: its weight, and its effect: what one standard deviation of it adds to the score."""

    name: str
    weight: float
    effect: float


def telling(model: LinearReward, k: int) -> dict[str, tuple[list[Told], list[Told]]]:
    """For each dimension the k features that raise the score most, and the k that lower it most.

    By weight times spread over the training answers. Columns without a name of their own (prompt × answer, embedding)
    are left out. With the kernel "rbf" a weight is the slope at the mean answer.
    """
    fitted = model.fitted()
    features = fitted.features
    named = np.flatnonzero(~np.isin(features.block_of, GROUPED))
    found = {}
    for i, dimension in enumerate(model.dimensions):
        w = fitted.coef[i] if fitted.kernel is None else fitted.kernel.gradient(fitted.mean, fitted.coef[i])
        w = w / fitted.scale.spread[i]
        effect = w * fitted.spread
        order = named[np.argsort(-effect[named], kind="stable")]
        told = [Told(features.names[j], float(w[j]), float(effect[j])) for j in [*order[:k], *order[::-1][:k]]]
        half = len(told) // 2
        found[dimension] = [t for t in told[:half] if t.effect > 0], [t for t in told[half:] if t.effect < 0]
    return found


def _raw(x: Design, kernel: Kernel | None, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    return (kernel.scores(x, coef) if kernel else x.project(coef)) + intercept


def _by_name(features: Features, x: np.ndarray, shares: np.ndarray) -> dict[str, float]:
    """(f,) shares summed by name; the terms of a block that the texts do not hold stand together."""
    found: dict[str, float] = defaultdict(float)
    for i in np.flatnonzero(shares):
        block = features.block_of[i]
        found[f"{block} not said" if block in SPARSE and x[i] == 0 else features.names[i]] += float(shares[i])
    return dict(found)


def _joined(snapshot: FeedbackSnapshot) -> FeedbackSnapshot:
    """All but the test split."""
    train, validation = snapshot.split("train"), snapshot.split("validation")
    return FeedbackSnapshot(
        {**train.prompts, **validation.prompts},
        {**train.completions, **validation.completions},
        train.ratings + validation.ratings,
        train.comparisons + validation.comparisons,
    )


def _ids(labels: Targets | Pairs) -> list[str]:
    return labels.ids if isinstance(labels, Targets) else [*labels.a, *labels.b]


def _used(known: FeedbackSnapshot, labels: Sequence[Targets | Pairs]) -> tuple[list[Exchange], dict[str, int]]:
    """The labelled exchanges in the order of their ids, and the row of each."""
    used = sorted({i for each in labels for i in _ids(each)})
    return [known.exchange(i) for i in used], {i: row for row, i in enumerate(used)}


def _check_finite(x: Design, exchanges: Sequence[Exchange]) -> None:
    bad = np.flatnonzero(~np.isfinite(x.dense).all(1))
    if len(bad):
        text = shorten(exchanges[bad[0]].completion.text)
        raise InputError(f"a feature of the answer {text!r} is not a number; check the encoder in reward.embedding")


def _digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _FILES}

"""Linear regression R(x) = wᵀx + b, one per dimension, on ratings; on comparisons its pairwise form.

Ratings: ridge on the mean rating (Hoerl and Kennard 1970). Comparisons: Bradley-Terry, which for a linear score is a
logistic regression on feature differences without intercept (Bradley and Terry 1952). The penalty is chosen by
cross-validation by prompt. Scores have mean 0 and standard deviation 1 over the training answers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from trueline import durable
from trueline.config import RewardConfig
from trueline.errors import InputError, RunError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores
from trueline.reward.base import Attribution, DimensionFit, FitReport
from trueline.reward.features import Features
from trueline.reward.labels import Pairs, Targets, ordered_pairs, preference_pairs, rating_targets
from trueline.reward.objective import shorten
from trueline.reward.solvers import bradley_terry, ridge

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FOLDS = 4
KIND = "linear"


@dataclass
class LinearReward:
    """The constructor stores; `fit` learns the names that end in an underscore. coef_: (d, f), intercept_: (d,)."""

    config: RewardConfig
    dimensions: tuple[str, ...]
    features_: Features | None = None
    coef_: np.ndarray | None = None
    intercept_: np.ndarray | None = None
    mean_: np.ndarray | None = None
    report_: dict[str, Any] | None = None

    def fit(self, snapshot: FeedbackSnapshot) -> FitReport:
        """Learn from the train and validation splits, report on the test split. InputError where labels are missing."""
        started = time.monotonic()
        learned = _joined(snapshot)
        labels = [self._labels(learned, d) for d in self.dimensions]
        used = sorted({i for found in labels for i in _ids(found)})
        exchanges = [learned.exchange(i) for i in used]
        place = {i: row for row, i in enumerate(used)}
        # One thread gives the same weights on any machine, and does not crawl when other work takes the cores.
        with threadpool_limits(1, "blas"):
            self.features_ = Features.fit(exchanges, self.config)
            x = self.features_.matrix(exchanges)
            solved = [_solve(x, place, found) for found in labels]
        coef, intercept = np.stack([w for w, _ in solved]), np.array([b for _, b in solved])
        raw = x @ coef.T + intercept
        centre, spread = raw.mean(0), np.where(raw.std(0) > 1e-12, raw.std(0), 1.0)
        self.coef_, self.intercept_ = coef / spread[:, None], (intercept - centre) / spread
        self.mean_ = np.asarray(x.mean(0)).ravel()
        test = snapshot.split("test")
        fits = {d: self._check(test, d, len(_ids(found))) for d, found in zip(self.dimensions, labels, strict=True)}
        report = FitReport(fits, snapshot.sha256, time.monotonic() - started)
        self.report_ = {**asdict(report), "raw_mean": centre.tolist(), "raw_std": spread.tolist()}
        return report

    def score(self, exchanges: Sequence[Exchange]) -> Scores:
        """(n, d) scores. A score that is no number stops with the text named."""
        features, coef, intercept = self._fitted()
        values = features.matrix(exchanges) @ coef.T + intercept
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            text = shorten(exchanges[row].completion.text)
            raise RunError(f"the reward of {text!r} is not a number; fit the reward model again")
        return Scores(self.dimensions, np.asarray(values, dtype=np.float64))

    def explain(self, exchange: Exchange) -> Attribution:
        """coef * (x - mean) of each feature, features of one name together; base is the score of the mean answer."""
        features, coef, intercept = self._fitted()
        assert self.mean_ is not None
        x = features.matrix([exchange]).toarray()[0]
        names = features.names
        parts, base = [], []
        for w, b in zip(coef, intercept, strict=True):
            found: dict[str, float] = defaultdict(float)
            unsaid = 0.0
            for i in np.flatnonzero(w * (x - self.mean_)):
                part = float(w[i] * (x[i] - self.mean_[i]))
                if i < len(features.answers.terms) and x[i] == 0:
                    unsaid += part
                else:
                    found[names[i]] += part
            found["words not said"] = unsaid
            parts.append(dict(found))
            base.append(float(w @ self.mean_ + b))
        return Attribution(self.dimensions, tuple(base), tuple(parts))

    def save(self, folder: Path) -> None:
        features, coef, intercept = self._fitted()

        def fill(pending: Path) -> None:
            features.save(pending)
            arrays = {"coef": coef, "intercept": intercept, "mean": self.mean_}
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, pending / "weights.safetensors")
            head = {"kind": KIND, "dimensions": list(self.dimensions), "config": self.config.model_dump()}
            durable.write_json(pending / "model.json", {**head, "fit": self.report_})

        durable.write_folder(folder, fill)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model; InputError when the folder is missing, cut or of another kind."""
        try:
            head = durable.read_json(folder / "model.json")
            if head["kind"] != KIND:
                raise ValueError(f"its kind is {head['kind']!r}")
            arrays = load_file(folder / "weights.safetensors")
            model = cls(
                RewardConfig(**head["config"]),
                tuple(head["dimensions"]),
                Features.load(folder),
                arrays["coef"],
                arrays["intercept"],
                arrays["mean"],
                head["fit"],
            )
            model._check_shapes()
            return model
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{folder}: not a whole reward model ({first}); fit it with `trueline reward`") from error

    def _check_shapes(self) -> None:
        """ValueError where the parts come from different models."""
        features, coef, intercept = self._fitted()
        size = (len(self.dimensions), len(features.names))
        if coef.shape != size or intercept.shape != size[:1] or self.mean_ is None or self.mean_.shape != size[1:]:
            raise ValueError("its files belong to different models")

    def _fitted(self) -> tuple[Features, np.ndarray, np.ndarray]:
        if self.features_ is None or self.coef_ is None or self.intercept_ is None:
            raise RunError("this reward model has not been fitted; call fit or load first")
        return self.features_, self.coef_, self.intercept_

    def _labels(self, snapshot: FeedbackSnapshot, dimension: str) -> Targets | Pairs:
        learn_from = self.config.learn_from
        make = preference_pairs if learn_from == "comparisons" else rating_targets
        found: Targets | Pairs = make(snapshot, dimension)
        if learn_from == "either" and len(set(found.groups)) < 2:
            found = preference_pairs(snapshot, dimension)
        if len(set(found.groups)) < 2:
            kind = "labels" if learn_from == "either" else learn_from
            other = "comparisons" if learn_from == "ratings" else "ratings"
            remedy = "" if learn_from == "either" else f'set reward.learn_from = "{other}", '
            raise InputError(
                f"no {kind} to learn {dimension} from ({len(found.groups)} found): import some, "
                f"{remedy}or take {dimension} out of project.dimensions"
            )
        return found

    def _check(self, test: FeedbackSnapshot, dimension: str, n_train: int) -> DimensionFit:
        column = self.dimensions.index(dimension)
        pairs, targets = ordered_pairs(test, dimension), rating_targets(test, dimension)
        ids = sorted({i for pair in pairs for i in pair} | set(targets.ids))
        if not ids:
            return DimensionFit(None, 0, None, n_train)
        values = self.score([test.exchange(i) for i in ids]).values[:, column]
        score = dict(zip(ids, values.tolist(), strict=True))
        accuracy = float(np.mean([score[a] < score[b] for a, b in pairs])) if pairs else None
        rated = np.array([score[i] for i in targets.ids])
        varied = len(rated) > 2 and rated.std() > 0 and targets.values.std() > 0
        pearson = float(np.corrcoef(rated, targets.values)[0, 1]) if varied else None
        return DimensionFit(accuracy, len(pairs), pearson, n_train)


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


def _solve(x: csr_matrix, place: dict[str, int], labels: Targets | Pairs) -> tuple[np.ndarray, float]:
    """Weights and intercept at the penalty that predicts unseen prompts best."""
    if isinstance(labels, Targets):
        rows, y, fit, loss = x[[place[i] for i in labels.ids]], labels.values, ridge, _squared
    else:
        rows = x[[place[i] for i in labels.b]] - x[[place[i] for i in labels.a]]
        y, fit, loss = labels.sign, bradley_terry, _logistic
    fold = np.array([int(g[:8], 16) % FOLDS for g in labels.groups])
    errors = np.zeros(len(PENALTIES))
    for held in (fold == f for f in range(FOLDS) if 0 < (fold == f).sum() < len(y) - 1):
        for k, (w, b) in enumerate(fit(rows[~held], y[~held], labels.weights[~held], PENALTIES)):
            errors[k] += labels.weights[held] @ loss(y[held], rows[held] @ w + b)
    return fit(rows, y, labels.weights, (PENALTIES[int(np.argmin(errors))],))[0]


def _squared(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray((predicted - y) ** 2)


def _logistic(y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp(0, -y * predicted))

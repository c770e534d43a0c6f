"""The neural reward model: a pretrained transformer with a head a dimension, learned from ratings, comparisons or both.

Ratings: squared error on standardised means. Comparisons: Bradley-Terry (Christiano et al. 2017, Ouyang et al. 2022).
torch and transformers are loaded on first use, not with this module.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file

from trueline import durable
from trueline.config import RewardConfig
from trueline.errors import InputError, RunError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores
from trueline.reward import calibrate
from trueline.reward.base import Attribution, FitReport
from trueline.reward.checking import ENOUGH, check
from trueline.reward.judgements import Judgements, judgements
from trueline.reward.labels import ordered_pairs
from trueline.reward.model_folder import refuse_hostile
from trueline.reward.objective import shorten
from trueline.reward.scale import Scale, log_lengths

if TYPE_CHECKING:
    from trueline.reward.backbone import Backbone

KIND, VERSION = "transformer", 1
GAP = 0.02


@dataclass
class TransformerReward:
    """The constructor stores; `fit` learns the names that end in an underscore.

    logs: where TensorBoard finds the training's course; None keeps none. seed: of heads, dropout and batches.
    """

    config: RewardConfig
    dimensions: tuple[str, ...]
    logs: Path | None = None
    seed: int = 0
    backbone_: Backbone | None = None
    scale_: Scale | None = None
    report_: dict[str, Any] | None = None

    @property
    def temperature(self) -> np.ndarray:
        """(d,) fitted on the validation prompts' pairs; nan where there are fewer than 20, or before `fit`."""
        return np.full(len(self.dimensions), np.nan) if self.scale_ is None else self.scale_.temperature

    def fit(self, snapshot: FeedbackSnapshot) -> FitReport:
        """Learn from the train split, set the temperature by validation, report on test. InputError without labels."""
        from trueline.reward.backbone import load_backbone
        from trueline.reward.scoring import raw_scores

        started, settings = time.monotonic(), self.config.transformer
        learned = snapshot.split("train")
        labels = judgements(learned, self.dimensions, self.config.learn_from)
        exchanges = [learned.exchange(i) for i in labels.ids]
        with _seeded(self.seed):
            backbone = load_backbone(settings.model, self.dimensions, settings.max_tokens)
            tokens, n_cut = backbone.encode(exchanges)
            if n_cut:
                _tell(f"{n_cut} of {len(tokens)} texts are longer than {backbone.limit} tokens: their beginning is cut")
            self.backbone_ = self._trained(backbone, labels, tokens, [e.completion.text for e in exchanges])
        raw = raw_scores(self.backbone_, tokens, settings.evaluation_batch)
        _require_finite(raw, exchanges)
        self.scale_ = Scale.fit(raw, log_lengths(exchanges), length_control=self.config.length_control)
        validation = snapshot.split("validation")
        self.scale_ = self.scale_.with_temperature([self._temperature(validation, d) for d in self.dimensions])
        test = snapshot.split("test")
        fits = {
            d: check(self, test, d, labels.counts[i], float(self.temperature[i])) for i, d in enumerate(self.dimensions)
        }
        report = FitReport(fits, snapshot.sha256, time.monotonic() - started)
        self.report_ = {**asdict(report), "texts": len(tokens), "texts_cut": n_cut}
        return report

    def score(self, exchanges: Sequence[Exchange]) -> Scores:
        """(n, d) scores, whatever the batch. A score that is no number stops with the text named."""
        from trueline.reward.scoring import raw_scores

        backbone, scale = self._fitted()
        raw = raw_scores(backbone, backbone.encode(exchanges)[0], self.config.transformer.evaluation_batch)
        _require_finite(raw, exchanges)
        return Scores(self.dimensions, scale.apply(raw, log_lengths(exchanges)))

    def explain(self, exchange: Exchange) -> Attribution:
        """What each word adds to the score of the same text with its words hidden, by integrated gradients.

        "length" is what length control takes off; "rest" is what the steps missed, under 0.02 for all but jumpy models.
        """
        from trueline.reward.gradients import word_shares

        backbone, scale = self._fitted()
        found = word_shares(backbone, exchange, GAP * scale.spread)
        score = self.score([exchange]).values[0]
        base = (found.base - scale.centre) / scale.spread
        length = scale.length_parts(log_lengths([exchange]))[0]
        parts = []
        for i in range(len(self.dimensions)):
            part = {word: value / float(scale.spread[i]) for word, value in found.words[i].items()}
            if self.config.length_control:
                part["length"] = part.get("length", 0.0) + float(length[i])
            part["rest"] = part.get("rest", 0.0) + float(score[i] - base[i] - sum(part.values()))
            parts.append(part)
        return Attribution(self.dimensions, tuple(base.tolist()), tuple(parts))

    def save(self, folder: Path) -> None:
        """model.json, scale.safetensors, and backbone/ as transformers writes it."""
        backbone, scale = self._fitted()

        def fill(pending: Path) -> None:
            backbone.model.save_pretrained(pending / "backbone")
            backbone.tokenizer.save_pretrained(pending / "backbone")
            save_file(scale.arrays(), pending / "scale.safetensors")
            head = {"kind": KIND, "version": VERSION, "dimensions": list(self.dimensions), "seed": self.seed}
            config = self.config.model_dump(mode="json")
            durable.write_json(pending / "model.json", {**head, "config": config, "fit": self.report_})

        durable.write_folder(folder, fill)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model; InputError when the folder is missing, cut, of another kind, or could run code."""
        from trueline.reward.backbone import load_backbone

        try:
            refuse_hostile(folder)
            head = durable.read_json(folder / "model.json")
            if head["kind"] != KIND or head["version"] != VERSION:
                raise ValueError(f"its kind is {head['kind']!r}, version {head['version']!r}")
            model = cls(RewardConfig(**head["config"]), tuple(head["dimensions"]), seed=int(head["seed"]))
            if not (folder / "backbone" / "config.json").exists():
                raise ValueError("backbone/config.json is missing")
            model.scale_ = Scale.of_arrays(load_file(folder / "scale.safetensors"))
            if {v.shape[0] for k, v in vars(model.scale_).items() if k != "knots"} != {len(model.dimensions)}:
                raise ValueError("its files belong to different models")
            limit = model.config.transformer.max_tokens
            model.backbone_ = load_backbone(folder / "backbone", model.dimensions, limit, saved=True)
            model.backbone_.model.requires_grad_(False)
            model.report_ = head["fit"]
            return model
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{folder}: not a whole reward model ({first}); fit it with `trueline reward`") from error

    def _trained(
        self, backbone: Backbone, labels: Judgements, tokens: list[list[int]], texts: Sequence[str]
    ) -> Backbone:
        from trueline.reward import backbone as backbones
        from trueline.reward import shared_prompts
        from trueline.reward import transformer_training as training

        settings = self.config.transformer
        backbones.new_heads(backbone.model)
        model = backbones.add_lora(backbone.model, settings.lora_rank) if settings.lora_rank else backbone.model
        share = settings.ratings_share if labels.rated and labels.compared else float(labels.rated)
        groups = [[tokens[row] for row in item.rows] for item in labels.items]
        join = shared_prompts.can_join(model, groups, backbone.pad_id)
        collator = training.Collator(tokens, backbone.pad_id, join=join)
        with _log_folder(self.logs) as folder:
            arguments = training.settings_of(settings, len(labels.items), folder, self.seed)
            if arguments.warmup_steps < settings.warmup:
                _tell(f"warm-up is {arguments.warmup_steps:.0f} steps, not {settings.warmup}: a tenth of all there are")
            model = training.train(model, labels.items, collator, texts, settings, arguments, share)
        whole = model.merge_and_unload() if settings.lora_rank else model
        return backbones.Backbone(whole.requires_grad_(False).eval(), backbone.tokenizer, backbone.limit)

    def _temperature(self, validation: FeedbackSnapshot, dimension: str) -> float:
        pairs = ordered_pairs(validation, dimension)
        if len(pairs) < ENOUGH:
            return float("nan")
        ids = sorted({i for pair in pairs for i in pair})
        column = self.score([validation.exchange(i) for i in ids]).values[:, self.dimensions.index(dimension)]
        score = dict(zip(ids, column.tolist(), strict=True))
        return calibrate.temperature(np.array([score[better] - score[worse] for worse, better in pairs]))

    def _fitted(self) -> tuple[Backbone, Scale]:
        if self.backbone_ is None or self.scale_ is None:
            raise RunError("this reward model has not been fitted; call fit or load first")
        return self.backbone_, self.scale_


def _require_finite(raw: np.ndarray, exchanges: Sequence[Exchange]) -> None:
    bad = np.argwhere(~np.isfinite(raw))
    if len(bad):
        text = shorten(exchanges[int(bad[0][0])].completion.text)
        raise RunError(f"the reward of {text!r} is not a number; fit the reward model again")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Every generator at `seed` inside, and as it was before outside."""
    import torch
    from transformers import set_seed

    here, there = random.getstate(), np.random.get_state()  # noqa: NPY002 (set_seed and Trainer set it)
    try:
        with torch.random.fork_rng():
            set_seed(seed)
            yield
    finally:
        random.setstate(here)
        np.random.set_state(there)  # noqa: NPY002


@contextmanager
def _log_folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="trueline-") as folder:
        yield Path(folder)


def _tell(line: str) -> None:
    print(f"reward model: {line}", file=sys.stderr, flush=True)

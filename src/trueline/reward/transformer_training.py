"""How the neural reward model learns: the loss, the batches, the Hugging Face Trainer and its settings.

Letters: n answers, p pairs, t tokens, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback

from trueline.config import TransformerConfig
from trueline.errors import RunError
from trueline.reward.backbone import head_scores, padded
from trueline.reward.judgements import Item
from trueline.reward.objective import shorten
from trueline.reward.shared_prompts import joined_inputs, joined_length, joined_scores

CLEAREST = 3


def reward_loss(
    scores: torch.Tensor,
    pairs: torch.Tensor,
    preferences: torch.Tensor,
    targets: torch.Tensor,
    *,
    margin: float,
    ratings_share: float,
) -> torch.Tensor:
    """share * mean (score - rating)^2 + (1 - share) * mean -log sigmoid(difference - margin), over what is labelled.

    scores (n, d); pairs (p, 2): rows of scores; preferences (p, d): above 0 where the pair's second is better; targets
    (n, d): standardised ratings; nan is no label. Bradley and Terry 1952; the margin, smaller for slighter preferences,
    is that of Llama 2 (Touvron et al. 2023). Always in fp32.
    """
    scores = scores.float()
    rated, judged = ~targets.isnan(), preferences.nan_to_num() != 0
    errors = scores[rated] - targets[rated]
    clear = preferences[judged]
    ahead = (scores[pairs[:, 1]] - scores[pairs[:, 0]])[judged] * clear.sign()
    wrong = softplus(margin * clear.abs() / CLEAREST - ahead)
    squared = errors.square().sum() / rated.sum().clamp(min=1)
    return ratings_share * squared + (1 - ratings_share) * wrong.sum() / judged.sum().clamp(min=1)


class Collator:
    """Items to tensors: all answers of a batch, both sides of every pair among them, in one padded block.

    join: the two sides of a pair in one row, their common beginning once; `shared_prompts.can_join` says for whom.
    """

    def __init__(self, tokens: Sequence[list[int]], pad_id: int, *, join: bool = False) -> None:
        self.tokens, self.pad_id, self.join = tokens, pad_id, join

    def length(self, item: Item) -> int:
        """Tokens of the row that an item needs."""
        sides = [self.tokens[row] for row in item.rows]
        return joined_length(sides) if self.join else max(map(len, sides))

    def __call__(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        rows = [row for item in items for row in item.rows]
        starts = np.cumsum([0, *(len(item.rows) for item in items)])
        pairs = [(start, start + 1) for start, item in zip(starts, items, strict=False) if len(item.rows) == 2]
        preferences = [item.preference for item in items if len(item.rows) == 2]
        if self.join:
            inputs = joined_inputs([[self.tokens[row] for row in item.rows] for item in items], self.pad_id)
        else:
            inputs = dict(
                zip(
                    ("input_ids", "attention_mask"),
                    padded([self.tokens[row] for row in rows], self.pad_id),
                    strict=True,
                )
            )
        return {
            **inputs,
            "rows": torch.tensor(rows),
            "pairs": torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
            "preferences": torch.tensor(np.array(preferences), dtype=torch.float32).reshape(len(pairs), -1)
            if pairs
            else torch.zeros(0, len(items[0].preference)),
            "targets": torch.tensor(np.concatenate([item.targets for item in items]), dtype=torch.float32),
        }


class LengthBuckets(Sampler[list[int]]):
    """Batches of items of like length, in random order; lengths are shaken by a tenth, so that batches differ."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch = np.asarray(lengths, dtype=float), batch
        self.rng = np.random.default_rng([41, seed])

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.argsort(self.lengths * self.rng.uniform(0.9, 1.1, len(self.lengths)), kind="stable")
        batches = [order[i : i + self.batch].tolist() for i in range(0, len(order), self.batch)]
        return iter([batches[i] for i in self.rng.permutation(len(batches))])


class RewardTrainer(Trainer):
    """The Trainer with our loss and batches. texts: the answers by row, to name one whose score is no number."""

    def __init__(self, *, texts: Sequence[str], margin: float, ratings_share: float, **given: Any) -> None:
        super().__init__(**given)
        self.texts, self.margin, self.ratings_share = texts, margin, ratings_share

    def get_train_dataloader(self) -> DataLoader:
        collator: Any = self.data_collator
        items: Any = self.train_dataset
        buckets = LengthBuckets([collator.length(item) for item in items], self.args.train_batch_size, self.args.seed)
        return self.accelerator.prepare(DataLoader(items, batch_sampler=buckets, collate_fn=collator))

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        with self.accelerator.autocast():
            scores = (
                joined_scores(model, inputs)
                if "ends" in inputs
                else head_scores(model, inputs["attention_mask"], input_ids=inputs["input_ids"])
            )
        loss = reward_loss(
            scores,
            inputs["pairs"],
            inputs["preferences"],
            inputs["targets"],
            margin=self.margin,
            ratings_share=self.ratings_share,
        )
        if not torch.isfinite(loss):
            worst = int((~scores.isfinite().all(1)).int().argmax())
            text = shorten(self.texts[int(inputs["rows"][worst])])
            raise RunError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}, for answers such as {text!r}; "
                "lower reward.transformer.learning_rate"
            )
        return loss


def settings_of(settings: TransformerConfig, n: int, folder: Path, seed: int) -> TrainingArguments:
    """The Trainer's settings for n items; warm-up is at most a tenth of all steps. Nothing is saved but logs."""
    steps = int(np.ceil(settings.epochs * -(-n // settings.batch)))
    cuda = torch.cuda.is_available()
    made = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=settings.evaluation_batch,
        warmup_steps=min(settings.warmup, steps // 10),
        weight_decay=settings.weight_decay,
        learning_rate=settings.learning_rate,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        bf16=cuda and torch.cuda.is_bf16_supported(),
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
        seed=seed,
    )
    # Several cards would be used through DataParallel, which cuts a batch without regard to its pairs.
    made._n_gpu = min(1, made.n_gpu)
    return made


def train(
    model: Any,
    items: Sequence[Item],
    collator: Collator,
    texts: Sequence[str],
    settings: TransformerConfig,
    arguments: TrainingArguments,
    ratings_share: float,
) -> Any:
    """Train in place, with TensorBoard logs in the arguments' folder; the model comes back ready to score."""
    trainer = RewardTrainer(
        texts=texts,
        margin=settings.margin,
        ratings_share=ratings_share,
        model=model,
        args=arguments,
        train_dataset=items,
        data_collator=collator,
        callbacks=[TensorBoardCallback(SummaryWriter(str(arguments.output_dir)))],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return model.eval()

"""Steps of TRL's trainers on the sizes of sizes.py, in TRL's environment. Prints one line of JSON.

    cd benchmarks && ../.venv-trl/bin/python -m peers.trl_step rloo 15M --steps 6

TRL as its users run it on a CPU: its own defaults but for these two, `use_cpu=True, bf16=False`. With
--no-checkpointing its gradient checkpointing, on by default, is off.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from typing import Any

import sizes
import torch
import trl
from datasets import Dataset
from transformers import LlamaForSequenceClassification, TrainerCallback

COMMON: dict[str, Any] = {
    "use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no",
    "per_device_train_batch_size": sizes.ANSWERS, "learning_rate": sizes.LEARNING_RATE, "disable_tqdm": True,
    "temperature": 1.0,
}  # fmt: skip


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **objects: Any) -> None:
        self.ends.append(time.perf_counter())


def grouped(algorithm: str, name: str, steps: int, folder: str, clock: Clock) -> Any:
    """RLOO and GRPO: 16 prompts, 4 answers each. TRL loads the reference by the policy's name, so it needs a folder."""
    sizes.model(name).save_pretrained(f"{folder}/model")
    trainer, config = (getattr(trl, algorithm.upper() + kind) for kind in ("Trainer", "Config"))
    rows = [{"prompt": text} for text in sizes.prompts(name)]
    return trainer(
        model=f"{folder}/model",
        reward_funcs=lambda completions, **_: [sizes.even_share(c) for c in completions],
        args=config(
            output_dir=folder, max_steps=steps, num_generations=sizes.GROUP, beta=sizes.KL,
            max_completion_length=sizes.NEW_TOKENS, **COMMON,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=sizes.tokenizer(name),
        callbacks=[clock],
    )  # fmt: skip


class EvenShare(torch.nn.Module):
    """A reward model in the form that TRL's PPO asks for; its score at the last token is the share of even tokens."""

    base_model_prefix = "model"

    def __init__(self) -> None:
        super().__init__()
        self.model, self.score = self._count, torch.nn.Identity()

    def _count(self, input_ids: torch.Tensor, **_: Any) -> Any:
        even = (input_ids[:, sizes.PROMPT_TOKENS :] % 2 == 0).float().mean(-1, keepdim=True)
        hidden = even.unsqueeze(-1).expand(-1, input_ids.shape[1], 1)
        return argparse.Namespace(hidden_states=[hidden])


def ppo(name: str, steps: int, folder: str, clock: Clock) -> Any:
    """64 prompts, an answer each; TRL's critic is a model of its own, of the policy's size."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    tokenizer, settings = sizes.tokenizer(name), sizes.config(name)
    settings.num_labels = 1
    rows = [{"input_ids": tokenizer.encode(text)} for text in sizes.prompts(name)]
    return PPOTrainer(
        args=PPOConfig(
            output_dir=folder, total_episodes=steps * sizes.ANSWERS, response_length=sizes.NEW_TOKENS,
            num_ppo_epochs=sizes.PPO_EPOCHS, num_mini_batches=1, kl_coef=sizes.KL, num_sample_generations=0,
            local_rollout_forward_batch_size=sizes.ANSWERS, **COMMON,
        ),
        processing_class=tokenizer,
        model=sizes.model(name),
        ref_model=sizes.model(name),
        reward_model=EvenShare(),
        value_model=LlamaForSequenceClassification(settings),
        train_dataset=Dataset.from_list(rows),
        callbacks=[clock],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=sizes.ALGORITHMS)
    parser.add_argument("model", choices=sizes.MODELS)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--no-checkpointing", action="store_true")
    given = parser.parse_args()
    if given.no_checkpointing:
        COMMON["gradient_checkpointing"] = False
    torch.set_num_threads(sizes.THREADS)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        if given.algorithm == "ppo":
            trainer = ppo(given.model, given.steps, folder, clock)
        else:
            trainer = grouped(given.algorithm, given.model, given.steps, folder, clock)
        trainer.train()
    print(json.dumps(sizes.report(f"trl {trl.__version__}", given.algorithm, given.model, clock.ends)))


if __name__ == "__main__":
    main()

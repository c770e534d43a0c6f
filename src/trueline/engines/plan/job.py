"""What is asked for: a model, devices, an algorithm and the size of a step; and what each algorithm needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches

from trueline.engines.plan.hardware import Device
from trueline.engines.plan.models import Model
from trueline.errors import InputError


@dataclass(frozen=True)
class Needs:
    """heads and their slow copies on the trunk; epochs over a step's answers with the usual settings; whether it
    samples answers.
    """

    heads: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    epochs: int = 1
    samples: bool = True


# As align/algorithms has them; copied, since those import torch.
NEEDS = {
    "rloo": Needs(),
    "reinforce": Needs(),
    "grpo": Needs(),
    "ppo": Needs(heads=("value",), epochs=4),
    "q_learning": Needs(heads=("value",), slow=("value",)),
    "ilql": Needs(heads=("value", "q1", "q2"), slow=("q1", "q2"), samples=False),
    "dpo": Needs(samples=False),
}


@dataclass(frozen=True)
class Job:
    """answers: in a step, on all devices together; samples: of them, for each prompt; new_tokens: of every answer;
    lora: rank, 0: all weights are trained; shard: weights, gradients and moments are spread over the devices (FSDP,
    ZeRO-3) instead of a copy on each; mixed: fp32 master weights and moments beside bf16.
    """

    model: Model
    device: Device
    gpus: int = 1
    algorithm: str = "rloo"
    prompt_tokens: int = 256
    new_tokens: int = 64
    answers: int = 128
    samples: int = 4
    steps: int = 30
    micro_batch: int = 128
    lora: int = 0
    shard: bool = False
    recompute: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.algorithm not in NEEDS:
            near = get_close_matches(self.algorithm, NEEDS, n=2, cutoff=0.3) or list(NEEDS)
            raise InputError(f"--algorithm {self.algorithm} is not known; nearest: {', '.join(near)}")
        if self.mixed and self.device.precision == "fp32":
            raise InputError("--mixed is of bf16 and fp32: on a CPU all is fp32; leave it out")
        if self.gpus > self.answers:
            raise InputError(f"{self.gpus} devices have only {self.answers} answers a step to share; raise --answers")

    @property
    def needs(self) -> Needs:
        return NEEDS[self.algorithm]

    @property
    def length(self) -> int:
        """Tokens of a prompt and its answer."""
        return self.prompt_tokens + self.new_tokens

    @property
    def share(self) -> int:
        """Answers of the device that has most of them."""
        return math.ceil(self.answers / self.gpus)

    @property
    def width(self) -> int:
        """Bytes of a weight, a gradient, a cached key and an activation."""
        return 4 if self.device.precision == "fp32" else 2

    @property
    def group(self) -> int:
        """Devices that hold one copy of the weights to sample with: tensor parallel where they are sharded and a whole
        copy would take more than 40% of a device.
        """
        group = 1
        while self.shard and group < self.gpus and self.model.weights * self.width / group > 0.4 * self.device.memory:
            group *= 2
        return min(group, self.gpus)

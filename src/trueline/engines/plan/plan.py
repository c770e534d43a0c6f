"""The plan of a job: does it fit, how long does it take, what does it cost, and what all that rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trueline.engines.plan.changes import Change, changes
from trueline.engines.plan.job import Job
from trueline.engines.plan.memory import Memory, memory, with_recompute, without_recompute
from trueline.engines.plan.throughput import Seconds, seconds
from trueline.errors import InputError


@dataclass(frozen=True)
class Plan:
    """activations: bytes with every layer kept, and with layers computed again; cost in the price's currency, None
    without a price.
    """

    job: Job
    memory: Memory
    activations: tuple[float, float]
    fits: bool
    changes: list[Change]
    seconds: Seconds
    cost: float | None

    @property
    def hours(self) -> float:
        return self.job.steps * self.seconds.step / 3600

    @property
    def gpu_hours(self) -> float:
        return self.hours * self.job.gpus

    @property
    def sampled_per_second(self) -> float:
        """Answer tokens a second while sampling, all devices together; 0 where nothing is sampled."""
        taken = self.seconds.sampling
        return self.job.answers * self.job.new_tokens / taken if taken else 0.0

    @property
    def learned_per_second(self) -> float:
        """Tokens of prompts and answers a second in the update, all its epochs done."""
        return self.job.answers * self.job.length / self.seconds.update


def plan(job: Job, price: float | None = None) -> Plan:
    """price: of one device for an hour. InputError where it is not a price."""
    if price is not None and not (price >= 0 and math.isfinite(price)):
        raise InputError(f"--price {price}: give what one device costs for an hour, 0 or more")
    needed, taken = memory(job), seconds(job)
    gpu_hours = job.steps * taken.step / 3600 * job.gpus
    return Plan(
        job,
        needed,
        (without_recompute(job), with_recompute(job)),
        needed.peak <= job.device.memory,
        changes(job),
        taken,
        None if price is None else price * gpu_hours,
    )


def assumptions(job: Job) -> list[str]:
    """What the figures rest on, a line each, with its source."""
    device = job.device
    kept = "one copy, spread over the devices" if job.shard else "a copy on each device"
    if job.mixed:
        kept += "; 16 bytes a weight, or 2 frozen (arXiv 1910.02054)"
    lines = [
        f"device: {device.name}, {device.memory / 1e9:g} GB, {device.flops / 1e12:g} Tflop/s in {device.precision}, "
        f"{device.bandwidth / 1e9:g} GB/s; {device.source}",
        f"of that a run gets {device.mfu:.0%} of the arithmetic and {device.reach:.0%} of the bandwidth; "
        + ("measured in benchmarks/" if device.precision == "fp32" else "half of pretraining's 38 to 43%, 2407.21783"),
        f"weights, gradients and moments: {kept}",
        "activations: arXiv 2205.05198, attention without its square, the vocabulary for answer tokens only",
        "learning: 2 flop a weight and token forward, 4 backward (2 with LoRA), 2 to recompute; arXiv 2001.08361",
        f"every answer has {job.new_tokens} tokens; a reward model's time and memory are not counted",
    ]
    if job.group > 1:
        lines.append(
            f"sampling: {job.group} devices hold a copy of the weights together (tensor parallel), which is not "
            "Trueline's way: there each sampler holds a whole one"
        )
    elif job.shard:
        lines.append("align.ray.shard spreads the layers alone: embedding and head stay whole on each device")
    return lines

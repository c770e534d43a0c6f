"""What to change so that a job fits: the nearest single changes, or else the shortest row of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from trueline.engines.plan.hardware import DEVICES
from trueline.engines.plan.job import Job
from trueline.engines.plan.memory import fits

MOST_GPUS, RANK = 1024, 16


@dataclass(frozen=True)
class Change:
    """How the settings are changed, in words, and the job with that."""

    text: str
    job: Job


def changes(job: Job) -> list[Change]:
    """Changes each of which makes the job fit, nearest first; where no single one does, the first row of changes, one
    on top of the other, that does. Empty where it fits already, or nothing helps.
    """
    if fits(job):
        return []
    single = [found for kind in (_memory_only, _answers, _lora, _gpus, _device) if (found := _first(kind(job)))]
    if single:
        return single
    texts: list[str] = []
    for step in (_smallest, _lora, _gpus):
        tried = list(step(job))
        change = _first(iter(tried)) or (tried[-1] if tried else None)
        if change is None:
            continue
        texts, job = [*texts, change.text], change.job
        if fits(job):
            return [Change(", ".join(texts), job)]
    return []


def _first(tried: Iterator[Change]) -> Change | None:
    return next((change for change in tried if fits(change.job)), None)


def _memory_only(job: Job) -> Iterator[Change]:
    """The same run with the same result, a little slower."""
    if not job.recompute:
        yield Change("--recompute", replace(job, recompute=True))
    for recompute in dict.fromkeys((job.recompute, True)):
        also = " --recompute" if recompute and not job.recompute else ""
        size = min(job.micro_batch, job.share) // 2
        while size >= 1:
            yield Change(f"--micro-batch {size}{also}", replace(job, micro_batch=size, recompute=recompute))
            size //= 2


def _smallest(job: Job) -> Iterator[Change]:
    yield Change("--micro-batch 1 --recompute", replace(job, micro_batch=1, recompute=True))


def _answers(job: Job) -> Iterator[Change]:
    for part in (2, 4):
        if job.new_tokens >= 16 * part:
            yield Change(f"--new-tokens {job.new_tokens // part}", replace(job, new_tokens=job.new_tokens // part))


def _lora(job: Job) -> Iterator[Change]:
    if not job.lora:
        yield Change(f"--lora {RANK}", replace(job, lora=RANK))


def _gpus(job: Job) -> Iterator[Change]:
    """Sharded over the devices that are there, then over twice as many, and so on."""
    gpus = job.gpus if not job.shard else 2 * job.gpus
    while gpus <= min(MOST_GPUS, job.answers) and job.device.precision != "fp32":
        if gpus > 1:
            yield Change(f"--gpus {gpus} --shard", replace(job, gpus=gpus, shard=True))
        gpus *= 2


def _device(job: Job) -> Iterator[Change]:
    for name in sorted(DEVICES, key=lambda name: DEVICES[name].memory):
        if name != "cpu" and job.device.precision != "fp32" and DEVICES[name].memory > job.device.memory:
            yield Change(f"--gpu {name}", replace(job, device=DEVICES[name]))

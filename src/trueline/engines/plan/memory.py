"""Bytes on each device, by part.

All weights: AdamW keeps two moments for each, in the weight's own width, so that bf16 is 2 + 2 + 4 = 8 bytes a weight
and fp32 16; mixed precision is 2 + 2 + 12 = 16 (Rajbhandari et al. 2020, ZeRO, arXiv 1910.02054, section 3.1).
LoRA: matrices in fp32 beside frozen weights, which are the reference too. Heads are fp32.

Activations follow Korthikanti et al. 2022 (arXiv 2205.05198), counted for a gated feed-forward and for attention that
never writes its square: a layer keeps the inputs and outputs of its norms, queries, keys, values, the attention's
output and what the feed-forward multiplies. Recomputed, it keeps its input alone, and one layer at a time is whole.
The vocabulary is there for the answers' tokens only, once in fp32 (`policy.logprobs`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trueline.engines.plan.job import Job

ADAM, MASTER, FP32 = 2, 12, 4
GATHERED_LAYERS = 2


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest device. Cache and sampling copy are there while answers are sampled, activations while
    they are learned from, the rest always.
    """

    weights: float
    gradients: float
    moments: float
    heads: float
    reference: float
    cache: float
    sampling_copy: float
    activations: float
    reserve: float

    @property
    def peak(self) -> float:
        always = self.weights + self.gradients + self.moments + self.heads + self.reference + self.reserve
        return always + max(self.cache + self.sampling_copy, self.activations)


def memory(job: Job) -> Memory:
    """What a job takes on its fullest device."""
    model, parts = job.model, job.gpus if job.shard else 1
    trained = model.lora_weights(job.lora) if job.lora else model.weights
    width = FP32 if job.lora else job.width
    adapters = FP32 * trained if job.lora else 0
    gathered = GATHERED_LAYERS * model.layer_weights * job.width if parts > 1 else 0
    heads, slow = model.extra_weights(job.needs.heads), model.extra_weights(job.needs.slow)
    return Memory(
        weights=(model.weights * job.width + adapters) / parts + gathered,
        gradients=trained * width / parts,
        moments=trained * (MASTER if job.mixed and not job.lora else ADAM * width) / parts,
        heads=(heads * FP32 * (2 + ADAM) + slow * FP32) / parts,
        reference=0 if job.lora else model.weights * job.width / parts,
        cache=job.share * job.length * token_cache(job) if job.needs.samples else 0,
        sampling_copy=model.weights * job.width / job.group if parts > 1 and job.needs.samples else 0,
        activations=activations(job),
        reserve=job.device.reserve,
    )


def token_cache(job: Job) -> float:
    """Bytes of the keys and values of one token, in all layers."""
    return 2 * job.model.layers * job.model.key * job.width


def activations(job: Job) -> float:
    """Bytes kept for the backward pass of one micro-batch, and of its vocabulary."""
    model = job.model
    rows = min(job.micro_batch, job.share)
    layer = 4 * model.hidden + 2 * (model.query + model.key) + 2 * (model.matrices - 1) * model.inner
    kept = model.layers * model.hidden + layer if job.recompute else model.layers * layer
    arrays = 1 + 2 * sum(name.startswith("q") for name in job.needs.heads)
    vocabulary = arrays * FP32 + (job.width if job.width != FP32 else 0)
    return rows * (job.length * kept * job.width + job.new_tokens * model.vocabulary * vocabulary)


def fits(job: Job) -> bool:
    return memory(job).peak <= job.device.memory


def without_recompute(job: Job) -> float:
    return activations(replace(job, recompute=False))


def with_recompute(job: Job) -> float:
    return activations(replace(job, recompute=True))

"""Models whose layers are spread over the learners of a group: fully sharded data parallelism, torch's FSDP2.

Zhao et al. 2023, "PyTorch FSDP: experiences on scaling fully sharded data parallel", arXiv 2304.11277. Each learner
keeps a part of every layer's weights, gradients and moments. A layer is put together when it is passed through and let
go behind it, forward and backward; its gradient is summed on the way, each learner keeping the sum of its own part.
Embedding, last norm and heads are whole in each, since the loss reads them directly (`policy.logprobs`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.parts import fill
from trueline.align.trainer import AlignTask, Load, policies, trainable
from trueline.config import AlignConfig
from trueline.errors import InputError
from trueline.policy.load import Policy, load_policy, usual_precision
from trueline.policy.logprobs import has_plain_head, trunk


def require_several(config: AlignConfig) -> None:
    """InputError where layers are to be spread over one learner."""
    if config.ray.shard and config.workers < 2:
        raise InputError(
            "align.ray.shard: there is one learner, and nobody to share its layers with; set align.workers to 2 or "
            "more, or align.ray.shard to false"
        )


def sharded_policies(task: AlignTask) -> tuple[Policy, Policy]:
    """What is trained and its reference, this learner's part of them; each is first read whole into main memory."""
    return policies(task, on_cpu(), partial(spread, device=_device()))


def whole_actor(task: AlignTask, weights: dict[str, torch.Tensor]) -> Actor:
    """What is trained, whole, on the CPU, with the given weights; for writing."""
    algorithm = ALGORITHMS[task.config.align.algorithm]
    actor = Actor.new(trainable(task, on_cpu()), algorithm.heads, algorithm.targets)
    for name, weight in actor.named_weights():
        fill(weight, weights[name])
    return actor


def spread(policy: Policy, device: torch.device) -> Policy:
    """The same policy, its layers spread over the processes of the group, in place. InputError where it has none."""
    model = policy.model
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    inside = [p for layer in layers for p in layer.parameters()]
    if not layers or len(inside) != len(set(inside)):
        raise InputError(
            f"{policy.name}: align.ray.shard: this model has no layers of their own to spread; set it to false"
        )
    options: dict[str, Any] = {
        "mesh": init_device_mesh(device.type, (dist.get_world_size(),)),
        "mp_policy": MixedPrecisionPolicy(reduce_dtype=torch.float32),
        "reshard_after_forward": True,
    }
    spread_over = [fully_shard(layer, **options) for layer in layers]
    # The trunk has no weights of its own here: as their root it orders the layers.
    spread_over.append(fully_shard(trunk(model), ignored_params=set(model.parameters()) - set(inside), **options))
    for module in spread_over:
        _sum_gradients(module)
    model.to(device)
    # A first pass now: FSDP looks at what is trained then, and later passes may come with LoRA's matrices off.
    has_plain_head(model)
    return policy


def _sum_gradients(module: FSDPModule) -> None:
    """Not their mean: a loss is divided by the whole batch's counts already."""
    module.set_gradient_divide_factor(1.0)
    module.set_force_sum_reduction_for_comms(True)  # gloo knows no other


def _device() -> torch.device:
    if dist.get_backend() != "nccl":
        return torch.device("cpu")
    from ray.train.torch import get_device

    device: torch.device = get_device()
    torch.cuda.set_device(device)
    return device


def on_cpu() -> Load:
    """Like `load_policy`, into the CPU's memory, in the precision of the device that the group computes on."""
    return partial(load_policy, device="cpu", dtype=usual_precision(_device().type))

"""What a device can do, and how much of it such a run gets; every figure with its source.

GB are 10^9 bytes. No prices: they change by the week, so that the user gives one, or the cost is told in GPU-hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from trueline.errors import InputError

# Pretraining on long rows gets 38 to 43% of the peak (Llama 3, arXiv 2407.21783, section 3.3.2). A step of RL gets
# about half: its rows are short and uneven, and phases wait for each other. Set between the published figures that
# docs/scale.md compares with.
GPU_MFU, GPU_REACH = 0.2, 0.3
GPU_RESERVE = 0.1


@dataclass(frozen=True)
class Device:
    """memory, reserve (what is taken before the model): bytes; flops: peak multiply-adds times two, 1/s, dense, in the
    width that it computes in; bandwidth: bytes/s; mfu and reach: the shares of the two that a run gets.
    """

    name: str
    memory: float
    flops: float
    bandwidth: float
    source: str
    reserve: float
    mfu: float = GPU_MFU
    reach: float = GPU_REACH
    precision: str = "bf16"


def _gpu(name: str, gigabytes: float, teraflops: float, bandwidth: float, source: str) -> Device:
    """teraflops in bf16, dense; bandwidth in GB/s; a tenth of the memory is kept for context and fragments."""
    memory = gigabytes * 1e9
    return Device(name, memory, teraflops * 1e12, bandwidth * 1e9, source, GPU_RESERVE * memory)


DEVICES = {
    "h100": _gpu("NVIDIA H100 SXM", 80, 989, 3350, "NVIDIA H100 data sheet (half of its figure with sparsity)"),
    "h200": _gpu("NVIDIA H200 SXM", 141, 989, 4800, "NVIDIA H200 data sheet (half of its figure with sparsity)"),
    "a100-80": _gpu("NVIDIA A100 80GB SXM", 80, 312, 2039, "NVIDIA A100 data sheet"),
    "a100-40": _gpu("NVIDIA A100 40GB SXM", 40, 312, 1555, "NVIDIA A100 data sheet"),
    "l40s": _gpu("NVIDIA L40S", 48, 362, 864, "NVIDIA L40S data sheet (half of its figure with sparsity)"),
    "4090": _gpu("NVIDIA GeForce RTX 4090", 24, 165, 1008, "NVIDIA Ada architecture white paper (fp32 accumulation)"),
    "cpu": Device(
        "one core of a Xeon with AVX-512",
        memory=8e9,
        flops=170e9,
        bandwidth=15e9,
        source="measured in benchmarks/: a step's fp32 matrix products alone, sums over 256 MB; its memory is assumed",
        reserve=0.42e9,
        mfu=0.46,
        reach=0.46,
        precision="fp32",
    ),
}


def find_device(name: str) -> Device:
    """A known device; InputError names the nearest."""
    if found := DEVICES.get(name.lower()):
        return found
    near = get_close_matches(name.lower(), DEVICES, n=3, cutoff=0.3) or list(DEVICES)
    raise InputError(f"--gpu {name} is not known; nearest: {', '.join(near)}; known: {', '.join(DEVICES)}")

"""The door to Ray RLlib: a run of reinforcement learning by one of its algorithms instead of ours.

RLlib learns from single tokens: each is a row with all that came before it, read anew without a cache, so that the cost
grows with the square of the length. It is for small models and for comparing algorithms; `trueline.align` and the Ray
engine are for language models. What trains is fp32 and on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trueline.align.journal import Row
from trueline.align.trainer import AlignTask
from trueline.config import AlignConfig
from trueline.engines.ray.cluster import import_ray
from trueline.errors import InputError
from trueline.scenarios.environments import is_played


def run(task: AlignTask, folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train with align.rllib until its iterations are done, going on from what is saved in folder/rllib; returns the
    policy's folder, an ordinary one. A step is an iteration.

    InputError: RLlib is not installed, or settings that it cannot keep; RunError: no answers come any more.
    """
    target = folder / "policy"
    if target.exists():
        return target
    import_ray()
    try:
        import ray.rllib  # noqa: F401
    except ImportError as error:
        raise InputError(f"RLlib is not installed ({error}); `pip install 'trueline[ray]'` brings it") from error
    from trueline.engines.rllib.training import train

    _require_what_it_can(task.config.align)
    if any(map(is_played, task.prompts)):
        raise InputError("align.engine: RLlib plays no episodes of several turns; set it to local or ray")
    return train(task, folder, on_step)


def _require_what_it_can(settings: AlignConfig) -> None:
    """InputError for a setting that would be silently ignored."""
    if settings.lora_rank:
        raise InputError("align.lora_rank: the RLlib engine trains all weights; set it to 0 or another align.engine")
    if settings.constraint.dimension:
        raise InputError("align.constraint: the RLlib engine holds none; set dimension to empty or another engine")
    if settings.kl.target:
        raise InputError("align.kl.target: the RLlib engine keeps the coefficient as it is; set the target to 0")
    if settings.rllib.algorithm == "dqn" and settings.kl.coefficient == 0:
        raise InputError("align.kl.coefficient: DQN turns worth into probabilities by it; set it above 0")

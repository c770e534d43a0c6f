"""Which models stand side by side on the chat page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.policy.load import load_policy
from trueline.red_team import said
from trueline.serving.answers import Served
from trueline.serving.opening import Wanted, find_model

BASE = "-base"


def columns(models: dict[str, Served], wanted: Wanted, project: Path, config: Config) -> tuple[str, ...]:
    """The model, and beside it the second one that was named, or the base policy of the model's run, which is opened
    for this and behind the same gate. InputError: the base policy cannot be read.
    """
    first, *others = models
    if others:
        return first, others[0]
    base = base_of(wanted.models[0], project)
    if base is None:
        return (first,)
    served = models[first]
    policy = load_policy(base, trust_remote_code=config.policy.trust_remote_code)
    rewards = served.rewards and replace(served.rewards, best_of=1)  # the best of several is no longer the base
    models[first + BASE] = Served.of(
        first + BASE, policy, served.gate, rewards, wanted.slots, said(Path(base)), served.batcher.watermark
    )
    return first, first + BASE


def base_of(named: str, project: Path) -> str | None:
    """The policy from which a run began, a folder or a hub name; None where that is not known, or is the model."""
    _, place = find_model(named, project)
    run = Path(place).parent
    note = run / "run.json"
    if not Path(place).is_dir() or not note.exists():
        return None
    try:
        base = durable.read_json(note).get("reference")
        if not base:
            return None
        folder = (run / base).resolve()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{note}: cannot be read ({error}); serve it with --no-page, without its base") from error
    if folder.is_dir():
        return None if folder == Path(place).resolve() else str(folder)
    return str(base)

"""A run whose nodes share no folder: models and the run's folder travel through align.ray.storage.

driver: models, run folder -> storage -> each process: its own copies
the first learner: its run folder -> storage, after each step
driver: the run's folder <- storage, in the end; what is watched, after each step
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from trueline.align.trainer import AlignTask
from trueline.config import RayConfig
from trueline.engines.ray.storage import Files, Stored
from trueline.errors import InputError

WATCHED = ("metrics.jsonl", "checks.jsonl")
RUN = "run.json"


def lay_out(task: AlignTask, folder: Path) -> AlignTask:
    """Put what the run needs on the storage that is set; the task with models under the names that they have there.

    The run's folder is brought up to date first where the storage is further. InputError where the storage has another
    run under this name.
    """
    settings = task.config.align.ray
    if not settings.storage:
        return task
    run = stored_run(settings, folder)
    there = run.files()
    if RUN in there and (folder / RUN).exists() and there[RUN] != _sha256(folder / RUN):
        raise InputError(
            f"align.ray.storage = {settings.storage!r}: holds another run of the name {folder.name}; name this one "
            "otherwise, or delete that one there"
        )
    if _steps(there) > _steps(p.relative_to(folder).as_posix() for p in folder.rglob("position.json")):
        run.pull(folder)
    run.push(folder)
    names = {}
    for name in {task.policy, task.reference}:
        local = Path(name)
        if local.is_dir():
            names[name] = str(local.resolve())
            _model(settings, names[name]).push(local)
    return replace(
        task, policy=names.get(task.policy, task.policy), reference=names.get(task.reference, task.reference)
    )


def at_hand(task: AlignTask) -> AlignTask:
    """The task with models that this process can open: copies from the storage, where one is set."""
    settings = task.config.align.ray
    if not settings.storage:
        return task
    return replace(task, policy=_copy(settings, task.policy), reference=_copy(settings, task.reference))


@contextmanager
def work_folder(settings: RayConfig, folder: str) -> Iterator[Path]:
    """Where a learner works: the run's folder itself, or a copy of what is stored of it."""
    if not settings.storage:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="trueline-run-") as made:
        work = Path(made) / Path(folder).name
        work.mkdir()
        stored_run(settings, Path(folder)).pull(work)
        yield work


def stored_run(settings: RayConfig, folder: Path) -> Stored:
    return Stored(f"{settings.storage.rstrip('/')}/runs/{folder.name}")


def notes_of_ray(settings: RayConfig, folder: Path) -> dict[str, Any]:
    """Where Ray Train keeps its own notes, which all nodes must reach: options of its RunConfig."""
    if not settings.storage:
        return {"storage_path": str(folder / "ray")}
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    store, root = url_to_fs(f"{settings.storage.rstrip('/')}/ray/{folder.name}")
    return {"storage_path": root, "storage_filesystem": PyFileSystem(FSSpecHandler(store))}


def _copy(settings: RayConfig, name: str) -> str:
    """A model's folder from the storage, kept for other processes and runs; a name that is not there is a hub's."""
    stored = _model(settings, name)
    if not stored.files():
        return name
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trueline" / "models"
    base.mkdir(parents=True, exist_ok=True)
    target = base / sha256(stored.url.encode()).hexdigest()[:32]
    with open(f"{target}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stored.pull(target)
    return str(target)


def _model(settings: RayConfig, name: str) -> Stored:
    return Stored(f"{settings.storage.rstrip('/')}/models/{sha256(name.encode()).hexdigest()[:32]}")


def _steps(names: Iterable[str] | Files) -> int:
    """The newest step whose checkpoint is among some files; 0 for none."""
    parts = [name.split("/") for name in names if name.startswith("checkpoints/step-")]
    return max((int(p[1].removeprefix("step-")) for p in parts), default=0)


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()

"""MLflow and Weights & Biases: told of every row, where they are installed and their own environment variables are set.

A run that goes on after an interruption goes on in the same run there; its id lies in the run's trackers.json. What a
tracker has already is not told again: MLflow would keep both, W&B drops a step that goes back by itself.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trueline import durable

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Tracker:
    """log(metrics, step); finish(whether the run failed)."""

    log: Callable[[Metrics, int], object]
    finish: Callable[[bool], object]


@dataclass(frozen=True)
class Kind:
    """asked_by: the environment variables of which one must be set. open(folder of the run, the run's id or None where
    it is new): the tracker, and the id to keep.
    """

    asked_by: tuple[str, ...]
    open: Callable[[Path, str | None], tuple[Tracker, str]]


@dataclass
class Trackers:
    """Those that are on. One that fails is off from then on, and training goes on."""

    on: dict[str, Tracker]

    @classmethod
    def open(cls, folder: Path) -> Trackers:
        on: dict[str, Tracker] = {}
        path = folder / "trackers.json"
        for name, kind in KINDS.items():
            if any(os.environ.get(key) for key in kind.asked_by) and _installed(name):
                with _no_harm(name, on):
                    ids = durable.read_json(path) if path.exists() else {}
                    on[name], run_id = kind.open(folder, ids.get(name))
                    durable.write_json(path, ids | {name: run_id})
        return cls(on)

    def add(self, metrics: Metrics, step: int) -> None:
        for name, tracker in [*self.on.items()]:
            with _no_harm(name, self.on):
                tracker.log(metrics, step)

    def close(self, failed: bool) -> None:
        for name, tracker in [*self.on.items()]:
            with _no_harm(name, self.on):
                tracker.finish(failed)


def _mlflow(folder: Path, run_id: str | None) -> tuple[Tracker, str]:
    # Left to itself it would try a server that is away for minutes, and training would wait.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    import mlflow

    run = mlflow.start_run(run_id=run_id) if run_id else mlflow.start_run(run_name=_name(folder))
    last = run.data.metrics.get("step", 0)

    def log(metrics: Metrics, step: int) -> None:
        if step > last:
            mlflow.log_metrics(dict(metrics), step=step)

    return Tracker(log, lambda failed: mlflow.end_run("FAILED" if failed else "FINISHED")), run.info.run_id


def _wandb(folder: Path, run_id: str | None) -> tuple[Tracker, str]:
    import wandb

    run_id = run_id or secrets.token_hex(8)
    run = wandb.init(id=run_id, resume="allow", name=_name(folder), dir=str(folder))
    log, finish = (lambda metrics, step: run.log(dict(metrics), step=step)), (lambda failed: run.finish(int(failed)))
    return Tracker(log, finish), run_id


KINDS = {
    "mlflow": Kind(("MLFLOW_TRACKING_URI",), _mlflow),
    "wandb": Kind(("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"), _wandb),
}


def _installed(name: str) -> bool:
    return name in sys.modules or find_spec(name) is not None


def _name(folder: Path) -> str:
    """PROJECT/runs/NAME, or LOOP/round-NN/align."""
    return "/".join(folder.resolve().parts[-3:])


@contextmanager
def _no_harm(name: str, on: dict[str, Tracker]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        on.pop(name, None)
        said = " ".join(str(error).split())
        print(f"{name} is off for this run ({type(error).__name__}: {said}); its metrics are in metrics.jsonl, and in "
              "TensorBoard", file=sys.stderr, flush=True)  # fmt: skip

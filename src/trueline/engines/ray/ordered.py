"""A stream of pieces worked on by Ray Data's actors, with the results in the order of the pieces.

One task cuts the stream, `workers` actors do the work, whoever iterates takes the results; Ray Data holds back whoever
is too fast. `work` must be pure: what an actor or a node took along when it died is done again, and nothing twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

import numpy as np

from trueline.engines.ray.cluster import cluster
from trueline.errors import RunError, TruelineError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def ordered_map(
    cut: Callable[[], Iterable[Piece]],
    start: Callable[[], Callable[[Piece], Result]],
    workers: int,
    address: str = "",
) -> Iterator[Result]:
    """work(piece) for each piece of `cut()`, in order; `start()` makes `work`, once in each actor.

    All of it runs on whatever node Ray chooses: files must lie where every node sees them. InputError and RunError: as
    they were raised there, behind the results of the pieces before; RunError for what failed otherwise.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what an actor's restart would need is kept by this call
    with cluster(address, workers + 1):
        import ray

        _quiet(ray.data.DataContext.get_current())
        results = ray.data.read_datasource(_source(cut), override_num_blocks=1).map_batches(
            _Worker, fn_constructor_args=(start,), batch_size=1, compute=ray.data.ActorPoolStrategy(size=workers)
        )
        try:
            for row in results.iter_rows():
                if isinstance(row["piece"], TruelineError):
                    raise row["piece"]
                yield row["piece"]
        except ray.exceptions.RayError as error:
            raise _failed(error) from error


class _Worker:
    def __init__(self, start: Callable[[], Callable[[Any], Any]]) -> None:
        self.start = cache(start)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Errors travel as results do: in order, and without Ray's own words around them."""
        piece = batch["piece"][0]
        if not isinstance(piece, TruelineError):
            try:
                piece = self.start()(piece)
            except Exception as error:
                piece = _failed(error)
        return {"piece": _alone(piece)}


def _source(cut: Callable[[], Iterable[Any]]) -> Any:
    from ray.data.block import BlockAccessor, BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    def blocks() -> Iterator[Any]:
        try:
            for piece in cut():
                yield BlockAccessor.batch_to_block({"piece": _alone(piece)})
        except Exception as error:
            yield BlockAccessor.batch_to_block({"piece": _alone(_failed(error))})

    class Source(Datasource):
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, *args: Any, **kwargs: Any) -> list[Any]:
            return [ReadTask(blocks, BlockMetadata(None, None, None, None))]

    return Source()


def _failed(error: Exception) -> TruelineError:
    if isinstance(error, TruelineError):
        return error
    said = str(error).strip().splitlines()
    return RunError(f"a Ray worker failed: {type(error).__name__}: {said[0] if said else ''}; see it without Ray")


def _alone(value: object) -> np.ndarray:
    """An array of one object, whatever it is."""
    found = np.empty(1, dtype=object)
    found[0] = value
    return found


def _quiet(context: Any) -> None:
    """Order kept, a piece a block (Ray Data would gather 128 MiB for one actor), nothing on the screen."""
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)

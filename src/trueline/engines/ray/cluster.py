"""A Ray cluster for as long as it is needed: one on this machine, ended with the run, or one that is there.

Ray's authentication by token stays on (RAY_AUTH_MODE=token is its default), its token file is for its owner alone, and
no dashboard is started. Ray's ports listen on all interfaces whatever address it is given: the token is what protects
them (CVE-2023-48022, CVE-2025-62593 were open clusters without one).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trueline.errors import InputError, RunError, TruelineError

ANSWERS_WITHIN, PLACED_WITHIN = 5.0, 30.0
STORE = 200 * 2**20


def import_ray() -> Any:
    """The module ray, quiet; InputError where it is not installed."""
    # Ray Train's controller keeps its own log; what a person needs to know is said by the engine.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed; `pip install 'trueline[ray]'` brings it") from None
    return ray


@contextmanager
def cluster(address: str, cpus: float, store: int = STORE) -> Iterator[None]:
    """Within it Ray can be used: that at `address`, or where that is empty, one of `cpus` logical CPUs and an object
    store of `store` bytes on this machine. Where this process is connected already, that cluster is taken and left.

    InputError: Ray is missing, nobody answers at the address, or another version of Ray or Python runs there.
    """
    ray = import_ray()
    if address:
        _require_answer(address)
    if ray.is_initialized():
        yield
        return
    _keep_token_private()
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "trueline"}
    if address:
        try:
            ray.init(address, **common)
        except ConnectionError as error:
            raise InputError(
                f"align.ray.address: no Ray cluster answers at {address!r} from this machine; run this on one of its "
                "nodes, and look at `ray status` there"
            ) from error
        except RuntimeError as error:
            said = " ".join(str(error).split())
            raise InputError(f"align.ray.address: the cluster at {address!r} cannot be used: {said}") from error
    else:
        ray.init(
            "local",
            num_cpus=max(1, round(cpus)),
            object_store_memory=max(STORE, store),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **common,
        )
    _keep_token_private()
    try:
        yield
    finally:
        ray.shutdown()


def require_placement(bundles: Sequence[Mapping[str, float]], remedy: str) -> None:
    """InputError, within half a minute, where the cluster has no room for all of `bundles` at once: what they need, and
    what is there."""
    ray = import_ray()
    from ray.util.placement_group import placement_group, remove_placement_group

    needed = _total(bundles)
    there = ray.cluster_resources()
    short = {name: amount for name, amount in needed.items() if there.get(name, 0) < amount}
    if short:
        missing = ", ".join(f"{_amount(n, a)} (it has {_amount(n, there.get(n, 0))})" for n, a in short.items())
        raise InputError(f"the Ray cluster is too small: the run needs {missing}; {remedy}")
    group = placement_group([dict(b) for b in bundles], strategy="PACK")
    try:
        if not group.wait(PLACED_WITHIN):
            free = ray.available_resources()
            raise RunError(
                "the Ray cluster has no room now: the run needs "
                + ", ".join(f"{_amount(n, a)} ({_amount(n, free.get(n, 0))} free)" for n, a in needed.items())
                + f", of {len(bundles)} parts that each lie on one node; wait for other work there, or {remedy}"
            )
    finally:
        remove_placement_group(group)


def _total(bundles: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for bundle in bundles for name in bundle)
    return {name: sum(bundle.get(name, 0.0) for bundle in bundles) for name in names}


def _amount(name: str, value: float) -> str:
    return f"{value / 2**30:.1f} GiB of memory" if name == "memory" else f"{value:g} {name}"


def _require_answer(address: str) -> None:
    """Ray itself tries for minutes to reach an address where nobody is."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if address.startswith("ray://") or not host or not port.isdigit():
        raise InputError(f'align.ray.address: {address!r} is not host:port of a Ray head, nor "auto"')
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()
    except OSError as error:
        raise InputError(
            f"align.ray.address: nobody answers at {address} ({error}); the head node's port is 6379 unless you "
            "started it with another"
        ) from error


def _keep_token_private() -> None:
    """Ray makes its token file readable by all who may enter its folder."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if path.exists() and path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
        path.chmod(0o600)


def cause_of(error: Exception) -> TruelineError:
    """What a person is told of an error that came back from an actor."""
    cause: BaseException = getattr(error, "cause", None) or error
    while cause.__cause__ is not None and not isinstance(cause, TruelineError):
        cause = cause.__cause__
    if isinstance(cause, TruelineError):
        return cause
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return RunError(f"an actor on the Ray cluster failed: {type(cause).__name__}: {lines[-1] if lines else ''}")

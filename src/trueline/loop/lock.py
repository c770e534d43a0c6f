"""One loop at a time in a project folder. The lock is the system's, so that a process that was killed holds none."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trueline.errors import InputError

NAME = ".loop.lock"


@contextmanager
def only_loop(project: Path, run: str) -> Iterator[None]:
    """Hold the project for a run. InputError names who holds it already."""
    with open(project / NAME, "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{project}: {_holder(project)}; wait for it, stop it, or use another folder") from None
        handle.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        json.dump({"run": run, "process": os.getpid(), "machine": socket.gethostname(), "since": since}, handle)
        handle.flush()
        yield


def _holder(project: Path) -> str:
    try:
        who = json.loads((project / NAME).read_text("utf-8"))
        return f"run {who['run']!r} holds it (process {who['process']} on {who['machine']}, since {who['since']})"
    except (OSError, ValueError, KeyError):
        return "another loop holds it"

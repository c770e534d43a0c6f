"""Seconds and peak memory of the quickstart's job, without installation."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import psutil
from rows import Row, row


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        started, peak = time.monotonic(), 0
        process = subprocess.Popen(
            [sys.executable, "-m", "trueline", "quickstart", "--out", f"{folder}/q"], stdout=subprocess.DEVNULL
        )
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _held(watched))
            time.sleep(0.2)
        if process.wait():
            sys.exit("the quickstart failed; run `trueline quickstart` to see why")
        seconds = time.monotonic() - started
    yield row("quickstart, seconds", seconds)
    yield row("quickstart, peak MB", peak / 1e6)


def _held(process: psutil.Process) -> int:
    """Bytes of a process and its children; what they share counts twice."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total

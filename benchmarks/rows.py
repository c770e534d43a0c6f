"""What a benchmark hands back, and how it is shown and kept."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
Row = dict[str, Any]


def row(
    name: str, ours: float, peer: float | None = None, floor: float | None = None, *, higher_is_better: bool = False
) -> Row:
    """ratio: how many times better ours is than the peer; floor_ratio: how many times worse than the floor."""

    def times(better: float, worse: float | None) -> float | None:
        return None if worse is None else round(better / worse if higher_is_better else worse / better, 2)

    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": None if peer is None else round(peer, 3),
        "ratio": times(ours, peer),
        "floor_ratio": None if floor is None else times(floor, ours),
        "machine": f"{platform.machine()}, {psutil.cpu_count(logical=False) or psutil.cpu_count()} cores",
        "commit": _commit(),
    }


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def keep(rows: Sequence[Row]) -> None:
    """Append to results.json."""
    target = HERE / "results.json"
    before = json.loads(target.read_text("utf-8")) if target.exists() else []
    target.write_text(json.dumps([*before, *rows], indent=1) + "\n", encoding="utf-8")


def show(rows: Sequence[Row]) -> None:
    """A table: a dash where there is no peer or floor."""
    print(f"\n{'':44}{'ours':>12}{'peer':>12}{'ratio':>8}{'x floor':>9}")
    for each in rows:
        numbers = ["-" if (v := each[key]) is None else f"{v:,.2f}" for key in ("ours", "peer", "ratio", "floor_ratio")]
        print(f"{each['name']:44}{numbers[0]:>12}{numbers[1]:>12}{numbers[2]:>8}{numbers[3]:>9}")

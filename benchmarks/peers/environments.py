"""Run a script in our environment or in TRL's, and read the line of JSON that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[1]
HOW = "TRL is not installed: `make bench-peers` puts it into .venv-trl and .venv-trl-ppo"


def python_of(ppo: bool) -> Path:
    """TRL took PPO out after 1.12, so PPO has an environment of its own."""
    given = os.environ.get("TRL_PPO_PYTHON" if ppo else "TRL_PYTHON")
    return Path(given or BENCHMARKS.parent / (".venv-trl-ppo" if ppo else ".venv-trl") / "bin" / "python")


def ours(module: str, *arguments: str) -> dict[str, Any]:
    return _run(sys.executable, module, *arguments)


def trl(module: str, *arguments: str, ppo: bool = False) -> dict[str, Any] | None:
    """None where TRL is not installed."""
    python = python_of(ppo)
    if not python.exists():
        print(HOW, file=sys.stderr)
        return None
    return _run(str(python), module, *arguments)


def _run(python: str, module: str, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [python, "-m", module, *arguments], cwd=BENCHMARKS, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"{module} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found

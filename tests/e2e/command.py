"""The command line as a subprocess."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
COMMAND = [sys.executable, "-m", "trueline"]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def trueline(*words: object, **options: Any) -> Result:
    """trueline("init", folder) runs the command and gives its exit code and output."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, **options
    )
    return Result(done.returncode, done.stdout, done.stderr)


def start(*words: object) -> subprocess.Popen[str]:
    """The same, running beside the test; it takes Ctrl-C even where the tests themselves run in the background."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

"""`trueline serve` as a process, on a port that stays when it is killed and started again."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclass
class Serving:
    project: Path
    store: str = ""
    port: int = 0
    process: subprocess.Popen | None = None
    link: str = ""

    def start(self, *options: str) -> float:
        """Seconds until the first page was there."""
        self.port = self.port or free_port()
        command = [sys.executable, "-m", "trueline", "serve", "-p", str(self.project), "--no-browser"]
        environment = {**os.environ, **({"TRUELINE_STORE": self.store} if self.store else {})}
        started = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *options], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = []
        while not (found := re.search(r"http://\S+", "".join(said))):
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"trueline serve ended: {''.join(said)}")
            said.append(line)
        self.link = found[0]
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                return time.monotonic() - started
            except OSError:
                time.sleep(0.01)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.process.stdout.close()

"""A server of a tiny random policy on a real socket, and a reward model whose scores a test can compute itself."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import uvicorn

from trueline.records import Scores
from trueline.reward.objective import Objective
from trueline.serving.answers import Rewards, Served
from trueline.serving.api import Server, create_app


class Vowels:
    """Quality is the share of vowels, safety that of letters before n; doubt is a hundredth of the length."""

    dimensions = ("quality", "safety")
    temperature = np.ones(2)

    def score(self, exchanges):
        texts = [e.completion.text for e in exchanges]
        share = [[sum(c in kind for c in t) / max(1, len(t)) for kind in ("aeiou", "abcdefghijklm")] for t in texts]
        return Scores(self.dimensions, np.array(share), np.array([[len(t) / 100] * 2 for t in texts]))


@dataclass
class Running:
    url: str
    models: dict[str, Served]

    @property
    def busy(self) -> int:
        return sum(len(s.batcher.rows) for s in self.models.values())


@pytest.fixture
def vowels():
    return Vowels()


@pytest.fixture
def best_of(vowels):
    def make(n: int) -> Rewards:
        return Rewards("vowels", vowels, Objective({"quality": 1.0, "safety": 0.5}, 0.25, 10.0), n)

    return make


@pytest.fixture
def serve():
    """serve(served, ..., keys=, rate=, hosts=): a running server; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*models: Served, **settings) -> Running:
            by_name = {s.name: s for s in models}
            app = create_app(Server(by_name, **settings))
            # The protocol must be named: else asyncio leaves Nagle's delay on, 40 ms an answer.
            listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listening.bind(("127.0.0.1", 0))
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2))
            thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join(20)

            stack.callback(stop)
            while not server.started:
                time.sleep(0.01)
            return Running(f"http://127.0.0.1:{listening.getsockname()[1]}", by_name)

        yield start


@pytest.fixture
def served(tiny):
    """served(gate=, rewards=): the tiny policy under the name "tiny"."""
    return lambda **around: Served.of("tiny", tiny, **around)

"""New tokens a second of the API with 16 requests at once, beside Hugging Face generate, a request after the other.

    python benchmarks/serving.py

The 15 M model, random weights, no end token, no gate; over HTTP as streams, the clients in a process of their own on
the same cores. Each of 16 clients asks three times in a row, so that newcomers join while others are answered. Ours and
theirs take turns, and a figure is the median of its turns; the first token is that of every request of every turn.
Writes serving.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sizes
import torch
import uvicorn
from rows import HERE, row, show

from trueline.policy.load import Policy
from trueline.serving.answers import Served
from trueline.serving.api import Server, create_app

NAME, CLIENTS, EACH, NEW_TOKENS, TURNS = "15M", 16, 3, 64, 3
PROMPT_TOKENS = (16, 256)


def measure() -> dict[str, Any]:
    torch.set_num_threads(sizes.THREADS)
    policy = Policy(sizes.model(NAME), sizes.tokenizer(NAME), NAME)
    found: dict[str, Any] = {"load before": os.getloadavg()[0], "rows": []}
    with _serving(Served.of(NAME, policy, slots=CLIENTS)) as port:
        for length in PROMPT_TOKENS:
            prompts = _prompts(length)
            _asked(port, prompts)
            turns = [(_asked(port, prompts), _generate(policy, prompts)) for _ in range(TURNS)]
            ours = statistics.median(o["tokens"] / o["seconds"] for o, _ in turns)
            theirs = statistics.median(t for _, t in turns)
            firsts = np.array([first for o, _ in turns for first in o["first"]]) * 1000
            gaps = np.array([gap for o, _ in turns for gap in o["gaps"]]) * 1000
            title = f"serving {NAME}, {CLIENTS} at once, prompts of {length}, tokens/s"
            found["rows"].append(
                row(title, ours, theirs, higher_is_better=True)
                | {f"first token p{q}, ms": round(float(np.percentile(firsts, q)), 1) for q in (50, 95)}
                | {f"between tokens p{q}, ms": round(float(np.percentile(gaps, q)), 1) for q in (50, 95)}
            )
    return found | {"load after": os.getloadavg()[0]}


def _prompts(length: int) -> list[str]:
    numbers = torch.randint(0, sizes.MODELS[NAME][0], (CLIENTS, length), generator=torch.Generator().manual_seed(1))
    return [" ".join(f"w{i}" for i in r) for r in numbers.tolist()]


def _generate(policy: Policy, prompts: list[str]) -> float:
    """Tokens a second of a quarter of the requests, one after the other."""
    some = prompts[: CLIENTS // 4]
    started = time.perf_counter()
    for text in some:
        ids = torch.tensor([policy.tokenizer.encode(text)])
        policy.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=True, top_k=0, pad_token_id=0
        )
    return len(some) * NEW_TOKENS / (time.perf_counter() - started)


@contextmanager
def _serving(served: Served) -> Iterator[int]:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(Server({NAME: served})), log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def _asked(port: int, prompts: list[str]) -> dict[str, Any]:
    """What the clients' process measured."""
    done = subprocess.run(
        [sys.executable, __file__, str(port)], input=json.dumps(prompts), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


async def _clients(port: int, prompts: list[str]) -> dict[str, Any]:
    started = time.perf_counter()
    found = await asyncio.gather(*(_client(port, text, i) for i, text in enumerate(prompts)))
    seconds = time.perf_counter() - started
    arrivals = [times for client in found for times in client]
    return {
        "seconds": seconds,
        "tokens": sum(len(times) - 1 for times in arrivals),
        "first": [times[1] - times[0] for times in arrivals],
        "gaps": [b - a for times in arrivals for a, b in zip(times[1:], times[2:], strict=False)],
    }


async def _client(port: int, text: str, number: int) -> list[list[float]]:
    """For each request when it was sent, and when each of its tokens came."""
    found = []
    for i in range(EACH):
        body = {"model": NAME, "messages": [{"role": "user", "content": f"w{i} {text}"}], "max_tokens": NEW_TOKENS}
        content = json.dumps(body | {"stream": True, "seed": number}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        times = [time.perf_counter()]
        writer.write(f"{head}content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content)
        async for line in reader:
            if line.startswith(b"data: ") and b'"content":"w' in line.replace(b'" w', b'"w'):
                times.append(time.perf_counter())
        writer.close()
        assert len(times) == NEW_TOKENS + 1, len(times)
        found.append(times)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(_clients(int(sys.argv[1]), json.load(sys.stdin)))))
    else:
        result = measure()
        show(result["rows"])
        (HERE / "serving.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

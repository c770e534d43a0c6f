"""New tokens a second: our sampler beside Hugging Face generate, random weights, no end token.

Ours as a training run uses it, with as many worker processes as generate has threads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import floor
import sizes
import torch
from rows import Row, row

from trueline.align.actor import Actor
from trueline.align.crew import crew
from trueline.align.shares import cut
from trueline.policy.load import Policy
from trueline.policy.sampler import sample


def median_seconds(work: Callable[[], object], times: int = 3) -> float:
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def measure() -> Iterator[Row]:
    for name in sizes.MODELS:
        policy = Policy(sizes.model(name), sizes.tokenizer(name), name)
        ids = [policy.tokenizer.encode(text) for text in sizes.prompts(name)]
        torch.set_num_threads(sizes.THREADS)
        theirs = median_seconds(
            partial(
                policy.model.generate,
                torch.tensor(ids),
                attention_mask=torch.ones(len(ids), sizes.PROMPT_TOKENS, dtype=torch.long),
                max_new_tokens=sizes.NEW_TOKENS,
                do_sample=True,
                top_k=0,
                pad_token_id=0,
            )
        )
        least = floor.seconds(floor.generate, name, sizes.ANSWERS)
        shares = [(ids[part], part.start) for part in cut(len(ids), sizes.THREADS)]
        with crew(Actor.new(policy), policy, sizes.THREADS) as people:
            ours = median_seconds(partial(people.map, _sample, shares))
        work = sizes.ANSWERS * sizes.NEW_TOKENS
        yield row(f"sampler {name}, tokens/s", work / ours, work / theirs, work / least, higher_is_better=True)


def _sample(actor: Actor, reference: Policy, ids: list[list[int]], start: int) -> object:
    keys = [[("bench", start + i)] for i in range(len(ids))]
    return sample(actor.policy, ids, keys, max_new_tokens=sizes.NEW_TOKENS, temperature=1.0)

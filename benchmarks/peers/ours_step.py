"""The same steps through Trueline: sample, score, prepare, update. Prints one line of JSON.

cd benchmarks && ../.venv/bin/python -m peers.ours_step rloo 15M --steps 6
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import sizes

import trueline
from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Request
from trueline.align.crew import crew as start_crew
from trueline.align.experience import measure
from trueline.align.judgement import Judgement
from trueline.align.update import update
from trueline.config import AlignConfig, KLConfig, PolicyConfig, PPOConfig
from trueline.policy.load import Policy
from trueline.records import Exchange, Prompt


def judge(exchanges: Sequence[Exchange]) -> Judgement:
    return Judgement(np.array([sizes.even_share(e.completion.text) for e in exchanges]), {})


def settings_of(algorithm: str) -> AlignConfig:
    samples = 1 if algorithm == "ppo" else sizes.GROUP
    return AlignConfig(
        algorithm=algorithm,
        prompts_per_step=sizes.ANSWERS // samples,
        samples_per_prompt=samples,
        micro_batch=sizes.ANSWERS,
        learning_rate=sizes.LEARNING_RATE,
        workers=sizes.THREADS,
        kl=KLConfig(coefficient=sizes.KL),
        ppo=PPOConfig(epochs=sizes.PPO_EPOCHS, minibatches=1, critic_warmup=0),
    )


def run(algorithm: str, name: str, steps: int) -> dict[str, Any]:
    """The report, made while the workers live, so that their memory counts."""
    settings, sampling = settings_of(algorithm), PolicyConfig(max_new_tokens=sizes.NEW_TOKENS, temperature=1.0)
    chosen = ALGORITHMS[algorithm]
    actor, reference = Actor.new(policy(name), chosen.heads, chosen.targets), policy(name)
    optimiser = actor.optimiser(settings.learning_rate)
    prompts = [Prompt.from_user(text) for text in sizes.prompts(name)]
    n, ends = settings.prompts_per_step, []
    with start_crew(actor, reference, settings.workers) as crew:
        for step in range(steps):
            batch = [prompts[(step * n + i) % len(prompts)] for i in range(n)]
            request = Request(batch, sampling, settings.samples_per_prompt, ("bench", step))
            answers, judgement = crew.answers(request, judge, None)
            rollout = measure(crew, answers, judgement.rewards, settings, sampling.temperature, sizes.KL)
            rollout = chosen.prepare(rollout, settings)
            update(crew, optimiser, chosen, rollout, settings, sampling.temperature, ("bench", step))
            ends.append(time.perf_counter())
            assert rollout.tokens == sizes.ANSWERS * sizes.NEW_TOKENS
        return sizes.report(f"trueline {trueline.__version__}", algorithm, name, ends)


def policy(name: str) -> Policy:
    return Policy(sizes.model(name), sizes.tokenizer(name), name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=sizes.ALGORITHMS)
    parser.add_argument("model", choices=sizes.MODELS)
    parser.add_argument("--steps", type=int, default=6)
    given = parser.parse_args()
    print(json.dumps(run(given.algorithm, given.model, given.steps)))


if __name__ == "__main__":
    main()

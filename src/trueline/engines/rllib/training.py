"""A run in RLlib: iterations, journal, going on.

metrics.jsonl  a line an iteration
rllib/         the state of some iteration before, whole: weights, optimiser, position
policy/        the finished model; there when the run is done
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
from ray import tune
from ray.rllib.core import DEFAULT_MODULE_ID

from trueline import durable
from trueline.align.journal import Journal, Row
from trueline.align.trainer import AlignTask
from trueline.engines.ray.cluster import cause_of, cluster
from trueline.engines.rllib.configs import ENVIRONMENT, algorithm_config
from trueline.engines.rllib.distil import distil
from trueline.engines.rllib.env import FINISHED, LENGTH, TokenEnv, TokenTask
from trueline.engines.rllib.export import learned_policy
from trueline.engines.rllib.language import token_task
from trueline.engines.rllib.penalty import TOKEN_KL
from trueline.engines.rllib.state import Position, read_position, restore, save
from trueline.errors import RunError, TruelineError
from trueline.policy.load import Policy, load_policy, save_policy

SAVE_EVERY = 5
PATIENCE = 5


def train(task: AlignTask, folder: Path, on_step: Callable[[Row], None]) -> Path:
    """The run, from where it stands to folder/policy."""
    _quiet()
    settings = task.config.align
    policy = load_policy(task.policy, trust_remote_code=task.config.policy.trust_remote_code, device="cpu")
    tokens = token_task(task, policy)
    position = read_position(folder / "rllib")
    with cluster(settings.ray.address, 1 + _runners(task)):
        tune.register_env(ENVIRONMENT, lambda context: TokenEnv(tokens))
        algorithm = algorithm_config(task, position.step, position.tokens).build_algo()
        try:
            if position.step:
                restore(algorithm, folder / "rllib")
            _iterate(algorithm, task, folder, position, on_step)
            trained = _trained(algorithm, task, tokens, policy)
        finally:
            algorithm.stop()
    return durable.write_folder(folder / "policy", lambda pending: save_policy(trained, pending))


def _iterate(
    algorithm: Any,
    task: AlignTask,
    folder: Path,
    position: Position,
    on_step: Callable[[Row], None],
) -> None:
    iterations, before, silent = task.config.align.rllib.iterations, position.tokens, 0
    with Journal.open(folder, position.step) as journal:
        for step in range(position.step + 1, iterations + 1):
            started = time.monotonic()
            try:
                result = algorithm.train()
            except TruelineError:
                raise
            except Exception as error:
                raise cause_of(error) from error
            row = _row(step, result, before, time.monotonic() - started)
            silent = 0 if "reward" in row and _healthy(algorithm) else silent + 1
            if silent == PATIENCE:
                raise RunError(
                    f"RLlib finished no answer in {PATIENCE} iterations: its runners died or align.rllib.batch is less "
                    "than an answer of policy.max_new_tokens; look at the logs in /tmp/ray and go on with "
                    "`trueline resume`"
                )
            journal.add(row)
            if step % SAVE_EVERY == 0 or step == iterations:
                save(algorithm, Position(step, row["tokens"]), folder / "rllib")
            on_step(row)


def _row(step: int, result: dict[str, Any], before: int, seconds: float) -> Row:
    """reward, length (tokens), eos_share: means of the last hundred answers, left out where RLlib has none; kl: nats an
    answer; tokens: sampled since the run began. Only PPO samples and learns in turns; of others all time counts as
    learning.
    """
    played, learned = result["env_runners"], result.get("learners", {}).get(DEFAULT_MODULE_ID, {})
    names = {"reward": "episode_return_mean", "length": LENGTH, "eos_share": FINISHED}
    found = {name: float(played.get(key, math.nan)) for name, key in names.items()}
    found["kl"] = float(learned.get(TOKEN_KL, math.nan)) * found["length"]
    row: Row = {"step": step, "tokens": before + int(played.get("num_env_steps_sampled_lifetime", 0))}
    row |= {name: value for name, value in found.items() if math.isfinite(value)}
    sampling = min(float(result.get("timers", {}).get("env_runner_sampling_timer", 0.0)), seconds)
    return {**row, "seconds": seconds, "seconds_rollout": sampling, "seconds_update": seconds - sampling}


def _healthy(algorithm: Any) -> bool:
    group = algorithm.env_runner_group
    return group.num_remote_env_runners() == 0 or group.num_healthy_remote_env_runners() > 0


def _trained(algorithm: Any, task: AlignTask, tokens: TokenTask, policy: Policy) -> Policy:
    """The policy with what was learned, taken over from the network or taught by it."""
    config = task.config
    if config.align.rllib.network == "policy":
        return learned_policy(algorithm, policy)
    teacher = algorithm.learner_group._learner.module[DEFAULT_MODULE_ID]
    distil(
        teacher.cpu(),
        policy,
        tokens,
        beta=config.align.kl.coefficient,
        temperature=config.policy.temperature,
        rate=config.align.learning_rate,
    )
    return policy


def _runners(task: AlignTask) -> int:
    settings = task.config.align.rllib
    return max(settings.num_env_runners, int(settings.algorithm in ("appo", "impala")))


def _quiet() -> None:
    """RLlib warns that it is new, and gymnasium of what RLlib does to it; neither is for the person who waits."""
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    gymnasium.logger.min_level = gymnasium.logger.ERROR

"""RLlib's configuration of each algorithm, on its new API stack, from a run's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from trueline.align.trainer import AlignTask
from trueline.engines.rllib.env import FINISHED, LENGTH
from trueline.engines.rllib.modules import PolicyModule, SmallModule
from trueline.engines.rllib.penalty import KLPenalty
from trueline.engines.rllib.q_modules import PolicyQModule, SmallQModule
from trueline.policy.load import load_policy

ENVIRONMENT = "trueline"
ENVIRONMENTS, REPLAYING = 16, 4
REPLAY = 50_000
EXPLORED = 0.6
SMOOTHED = 100
MODULES = {"policy": PolicyModule, "small": SmallModule}
Q_MODULES = {"policy": PolicyQModule, "small": SmallQModule}


def algorithm_config(task: AlignTask, done: int, sampled: int) -> AlgorithmConfig:
    """The configuration of a run of which `done` iterations and `sampled` tokens are behind it."""
    settings = task.config.align.rllib
    make: Callable[[AlignTask, int], AlgorithmConfig] = {"ppo": _ppo, "dqn": _dqn, "appo": _appo, "impala": _impala}[
        settings.algorithm
    ]
    config: AlgorithmConfig = make(task, sampled)
    return (
        config.environment(ENVIRONMENT)
        .framework("torch")
        .learners(num_learners=0, learner_connector=lambda *spaces: _penalty(task))
        .rl_module(rl_module_spec=RLModuleSpec(module_class=_modules(task), model_config=model_config(task)))
        .training(lr=settings.learning_rate, gamma=task.config.align.ppo.gamma)
        .training(grad_clip=task.config.align.max_grad_norm, grad_clip_by="global_norm")
        .callbacks(on_episode_end=_note_answer)
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=settings.batch)
        .reporting(metrics_num_episodes_for_smoothing=SMOOTHED)
        .fault_tolerance(restart_failed_env_runners=True, delay_between_env_runner_restarts_s=1)
        # Another seed after an interruption, so that the same prompts and draws do not come again.
        .debugging(seed=task.seed + 10_000 * done, log_level="ERROR")
    )


def _note_answer(*, episode: Any, metrics_logger: Any, **_: Any) -> None:
    """RLlib's own episode_len_mean counts, on a local runner, the steps that its learner adds to pieces of answers."""
    told = episode.get_infos(-1)
    for name in (LENGTH, FINISHED):
        metrics_logger.log_value(name, float(told[name]), window=SMOOTHED)


def model_config(task: AlignTask) -> dict[str, Any]:
    """What RLlib's own networks need, and what ours do."""
    config = task.config
    return asdict(DefaultModelConfig(fcnet_hiddens=list(config.align.rllib.fcnet_hiddens), vf_share_layers=False)) | {
        "policy": task.policy,
        "trust_remote_code": config.policy.trust_remote_code,
        "temperature": config.policy.temperature,
        "beta": config.align.kl.coefficient,
    }


def _modules(task: AlignTask) -> type:
    settings = task.config.align.rllib
    return (Q_MODULES if settings.algorithm == "dqn" else MODULES)[settings.network]


def _penalty(task: AlignTask) -> KLPenalty:
    config = task.config
    reference = load_policy(task.reference, trust_remote_code=config.policy.trust_remote_code)
    sampled = config.align.rllib.algorithm != "dqn"
    return KLPenalty(reference, config.align.kl.coefficient, config.policy.temperature, sampled=sampled)


def _ppo(task: AlignTask, sampled: int) -> AlgorithmConfig:
    """Answers are cut where a batch is full and go on in the next one. `complete_episodes` would drop those that are
    not done, which are the long ones."""
    settings, ppo = task.config.align.rllib, task.config.align.ppo
    return (
        PPOConfig()
        .env_runners(num_env_runners=settings.num_env_runners, num_envs_per_env_runner=ENVIRONMENTS)
        .training(
            train_batch_size_per_learner=settings.batch,
            minibatch_size=min(settings.minibatch, settings.batch),
            num_epochs=settings.epochs,
            lambda_=ppo.lam,
            clip_param=ppo.clip,
            # RLlib's value loss has no 1/2, and it cuts off large errors, not large changes.
            vf_loss_coeff=ppo.value_coefficient / 2,
            vf_clip_param=float("inf"),
            entropy_coeff=0.0,
            use_kl_loss=False,
        )
    )


def _impala(task: AlignTask, sampled: int) -> AlgorithmConfig:
    return _behind(IMPALAConfig(), task)


def _appo(task: AlignTask, sampled: int) -> AlgorithmConfig:
    ppo = task.config.align.ppo
    return _behind(APPOConfig().training(clip_param=ppo.clip, lambda_=ppo.lam, use_kl_loss=False), task)


def _behind(config: IMPALAConfig, task: AlignTask) -> AlgorithmConfig:
    """Runners sample while the learner learns, with weights that are some updates old; V-trace corrects for that."""
    settings, ppo = task.config.align.rllib, task.config.align.ppo
    return config.env_runners(
        num_env_runners=max(1, settings.num_env_runners),
        num_envs_per_env_runner=ENVIRONMENTS,
        rollout_fragment_length=max(1, settings.minibatch // ENVIRONMENTS),
    ).training(
        train_batch_size_per_learner=settings.minibatch,
        vf_loss_coeff=ppo.value_coefficient,
        entropy_coeff=0.0,
    )


def _dqn(task: AlignTask, sampled: int) -> AlgorithmConfig:
    """What held DQN back on a task of answers, and is set otherwise here.

    n_step stays 1: with n steps RLlib never draws the last n - 1 tokens of an answer from its buffer, and these bring
    the reward. Epsilon falls to 0: at RLlib's 0.05 one in six answers of five tokens, among three, has a wrong random
    one, and the mean return stays below the best by that much for ever. It falls within EXPLORED of the run, not in
    10,000 tokens. REPLAYING tokens are sampled for each update, since a good answer is rare at first.
    """
    settings = task.config.align.rllib
    explored = max(1, int(EXPLORED * settings.iterations * settings.batch))
    return (
        DQNConfig()
        .env_runners(num_env_runners=settings.num_env_runners, num_envs_per_env_runner=REPLAYING)
        .training(
            train_batch_size_per_learner=settings.minibatch,
            replay_buffer_config={"type": "PrioritizedEpisodeReplayBuffer", "capacity": REPLAY},
            num_steps_sampled_before_learning_starts=min(500, settings.batch),
            target_network_update_freq=200,
            n_step=1,
            double_q=True,
            epsilon=_from_here(explored, sampled),
        )
    )


def _from_here(explored: int, sampled: int) -> float | list[tuple[int, float]]:
    """Epsilon from 1 to 0 over so many tokens, seen by a run that has sampled some of them; RLlib counts from 0."""
    left = explored - sampled
    return [(0, left / explored), (left, 0.0)] if left > 0 else 0.0

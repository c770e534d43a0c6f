"""An answer as an episode of a gymnasium environment: the state is the tokens so far, an action is the next token.

Letters: V vocabulary, L the longest prompt plus the longest answer (tokens).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from trueline.policy.randomness import generator

LENGTH, FINISHED = "answer_length", "answer_finished"
Observation = dict[str, np.ndarray]


@dataclass(frozen=True)
class TokenTask:
    """prompts: token ids; ends: tokens that end an answer; allowed: (V,) bool, what may be produced; max_new_tokens: an
    answer is cut there; reward: of the answer (its tokens, and whether it ended by itself) to the i-th prompt.
    """

    prompts: list[list[int]]
    ends: tuple[int, ...]
    allowed: np.ndarray
    max_new_tokens: int
    reward: Callable[[int, list[int], bool], float]

    @property
    def vocabulary(self) -> int:
        return len(self.allowed)

    @property
    def width(self) -> int:
        """L: how many tokens an observation has room for."""
        return max(map(len, self.prompts)) + self.max_new_tokens


class TokenEnv(gym.Env[Observation, np.int64]):
    """Reward 0 for each token but the last, which brings the reward of the whole answer.

    An observation has `tokens` (L,), padded right with 0; `length` (1,), how many of them are real; and `action_mask`
    (V,), 1 for a token that may come next. The KL to a reference is no part of the reward here, since the environment
    does not know the policy's probabilities: `penalty.KLPenalty` takes it off where they are known.
    The prompt is drawn by (seed of the last seeded reset, episodes since).
    """

    def __init__(self, task: TokenTask) -> None:
        self.task = task
        self.observation_space = Dict(
            {
                "action_mask": Box(0, 1, (task.vocabulary,), np.int8),
                "length": Box(1, task.width, (1,), np.int32),
                "tokens": Box(0, task.vocabulary - 1, (task.width,), np.int32),
            }
        )
        self.action_space = Discrete(task.vocabulary)
        self.seed, self.episode = 0, 0
        self.prompt, self.answer = 0, list[int]()
        self._mask = task.allowed.astype(np.int8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict]:
        super().reset(seed=seed)
        if seed is not None:
            self.seed, self.episode = seed, 0
        self.prompt = int(generator("rllib prompt", self.seed, self.episode).integers(len(self.task.prompts)))
        self.episode += 1
        self.answer = []
        return self._seen(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict]:
        """The mask is for the module to keep to: a token that it forbids is taken like any other. The last step's info
        tells the answer's length, tokens, and whether it ended by itself."""
        token = int(action)
        self.answer.append(token)
        finished = token in self.task.ends
        if not finished and len(self.answer) < self.task.max_new_tokens:
            return self._seen(), 0.0, False, False, {}
        reward = self.task.reward(self.prompt, self.answer, finished)
        return self._seen(), reward, True, False, {LENGTH: len(self.answer), FINISHED: finished}

    def _seen(self) -> Observation:
        row = self.task.prompts[self.prompt] + self.answer
        tokens = np.zeros(self.task.width, np.int32)
        tokens[: len(row)] = row
        return {"action_mask": self._mask, "length": np.array([len(row)], np.int32), "tokens": tokens}

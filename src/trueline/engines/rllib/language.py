"""A policy's prompts, tokens and judge as a task of tokens."""

from __future__ import annotations

import numpy as np

from trueline.align.judgement import judged
from trueline.align.trainer import AlignTask
from trueline.engines.rllib.env import TokenTask
from trueline.policy.chat import decode_answer, encode_prompt
from trueline.policy.load import Policy, require_room
from trueline.records import Exchange

SOURCE = "policy:training"


def token_task(task: AlignTask, policy: Policy) -> TokenTask:
    """InputError where the model has no room for the longest prompt and an answer."""
    config = task.config.policy
    encoded = [encode_prompt(policy, p, config.max_prompt_tokens) for p in task.prompts]
    require_room(policy, max(map(len, encoded)), config.max_new_tokens)

    def reward(i: int, tokens: list[int], finished: bool) -> float:
        text = decode_answer(policy, tokens)
        exchange = Exchange.of(task.prompts[i], text, SOURCE, "stop" if finished else "length")
        return float(judged(task.judge, [exchange]).rewards[0])

    return TokenTask(encoded, policy.end_ids, allowed_tokens(policy), config.max_new_tokens, reward)


def allowed_tokens(policy: Policy) -> np.ndarray:
    """(V,) bool: every token of the tokenizer but padding, roles and other control tokens; the end tokens are allowed.

    A model may have more rows than its tokenizer has tokens; nothing is written by those.
    """
    allowed = np.zeros(policy.model.config.get_text_config().vocab_size, dtype=bool)
    allowed[: len(policy.tokenizer)] = True
    allowed[list(policy.tokenizer.all_special_ids)] = False
    allowed[list(policy.end_ids)] = True
    return allowed

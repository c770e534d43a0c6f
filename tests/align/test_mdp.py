"""A token MDP with 5 states whose best way is known: 3 tokens, 4 to an answer, the reward at its end.

Token 0 goes on, token 1 goes back to the start, token 2 ends. The end is worth what the state is; the last state pays
most, and the first a little, so that a hasty learner stays there. Values of (state, position): dynamic programming.
"""

from functools import cache

import pytest
import torch

from trueline.align.algorithms import ALGORITHMS
from trueline.align.algorithms.base import Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig
from trueline.policy.scoring import Batch

STATES, TOKENS, LONGEST = 5, 3, 6
ON, BACK, END = range(TOKENS)
WORTH = (0.3, 0.0, 0.1, 0.0, 1.0)
BETA, BATCH = 0.05, 64


def move(state, token):
    """The next state; None at the end."""
    return {ON: min(state + 1, STATES - 1), BACK: 0, END: None}[token]


@cache
def optimal(state, t):
    """(value, best token) of the soft problem with a uniform reference: beta log mean exp(Q / beta)."""
    q = torch.tensor([after(state, t, a) for a in range(TOKENS)], dtype=torch.float64)
    return (BETA * torch.logsumexp(q / BETA - torch.log(torch.tensor(float(TOKENS))), 0)).item(), int(q.argmax())


def after(state, t, token):
    if token == END:
        return WORTH[state]
    return 0.0 if t + 1 == LONGEST else optimal(move(state, token), t + 1)[0]


class Tables:
    """What a model would say, as tables over (position, state): logits, value, twin Q and their slow copies."""

    def __init__(self, algorithm, config):
        self.algorithm, self.config = algorithm, config
        where = (LONGEST, STATES)
        self.logits = torch.zeros(*where, TOKENS, requires_grad=True)
        self.value = torch.zeros(where, requires_grad=True)
        self.q = torch.zeros(2, *where, TOKENS, requires_grad=True)
        self.slow_value, self.slow_q = torch.zeros(where), torch.zeros(2, *where, TOKENS)
        self.optimiser = torch.optim.Adam([self.logits, self.value, self.q], lr=0.05)

    def outputs(self, states, tokens):
        """states, tokens (B, T) long."""
        t = torch.arange(LONGEST).expand_as(states)
        logprobs = torch.log_softmax(self.logits, -1)[t, states]
        index = tokens.unsqueeze(-1)

        def taken(q):
            return q[:, t, states].gather(-1, index.expand(2, *index.shape)).squeeze(-1)

        return Outputs(
            logprobs.gather(-1, index).squeeze(-1), self.value[t, states], self.slow_value[t, states],
            taken(self.q), self.q[:, t, states].logsumexp(-1), taken(self.slow_q).min(0).values,
        )  # fmt: skip

    def rollout(self, states, tokens, mask, scores, group):
        with torch.no_grad():
            seen = self.outputs(states, tokens)
        reference = torch.full_like(seen.logprobs, -torch.log(torch.tensor(float(TOKENS))).item())
        return Rollout(
            Batch(tokens, mask, mask), group, seen.logprobs, reference, scores, BETA, int(mask.sum()),
            len(scores), seen.values, seen.target_values,
        )  # fmt: skip

    def step(self, states, rollout):
        prepared = self.algorithm.prepare(rollout, self.config)
        for _ in range(self.algorithm.passes(self.config)[0]):
            outputs = self.outputs(states, rollout.batch.tokens)
            loss, _ = self.algorithm.loss(outputs, prepared, self.config)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        self.slow_value = self.slow_value.lerp(self.value.detach(), 0.1)
        self.slow_q = self.slow_q.lerp(self.q.detach(), 0.1)


def walk(logits):
    """BATCH answers drawn from logits (LONGEST, STATES, TOKENS): states, tokens, mask (B, T) and the reward (B,)."""
    states = torch.zeros(BATCH, LONGEST, dtype=torch.long)
    tokens = torch.zeros(BATCH, LONGEST, dtype=torch.long)
    mask = torch.zeros(BATCH, LONGEST, dtype=torch.bool)
    scores = torch.zeros(BATCH)
    for i in range(BATCH):
        state = 0
        for t in range(LONGEST):
            token = int(torch.multinomial(logits[t, state].softmax(-1), 1))
            states[i, t], tokens[i, t], mask[i, t] = state, token, True
            if token == END:
                scores[i] = WORTH[state]
                break
            state = move(state, token)
    return states, tokens, mask, scores


def way(logits):
    """The likeliest tokens from the start."""
    state, found = 0, []
    for t in range(LONGEST):
        found.append(int(logits[t, state].argmax()))
        if found[-1] == END:
            break
        state = move(state, found[-1])
    return found


def best_way():
    state, found = 0, []
    while not found or found[-1] != END:
        found.append(optimal(state, len(found))[1])
        state = move(state, found[-1])
    return found


def test_the_best_way_is_to_the_last_state():
    assert best_way() == [ON, ON, ON, ON, END]


@pytest.mark.parametrize("name", ["ppo", "rloo", "grpo", "reinforce", "q_learning"])
def test_sampling_finds_the_best_way(name):
    torch.manual_seed(0)
    tables = Tables(ALGORITHMS[name], AlignConfig(algorithm=name))
    for _ in range(200):
        states, *rest = walk(tables.logits.detach())
        tables.step(states, tables.rollout(states, *rest, torch.arange(BATCH) // 8))
    assert way(tables.logits) == best_way()
    assert walk(tables.logits.detach())[-1].mean() > 0.9


def test_soft_q_learning_finds_the_optimal_values():
    torch.manual_seed(0)
    tables = Tables(ALGORITHMS["q_learning"], AlignConfig(algorithm="q_learning"))
    for _ in range(400):
        states, *rest = walk(tables.logits.detach())
        tables.step(states, tables.rollout(states, *rest, torch.arange(BATCH)))
    for t in range(len(best_way())):
        assert tables.value[t, t].item() == pytest.approx(optimal(t, t)[0], abs=0.05)


def test_ilql_finds_the_best_way_in_random_answers():
    """It never samples: the data are uniformly random, and their likeliest way is not the best one."""
    torch.manual_seed(0)
    config = AlignConfig(algorithm="ilql", ilql={"tau": 0.9})
    tables = Tables(ALGORITHMS["ilql"], config)
    uniform = torch.zeros_like(tables.logits)
    data = [walk(uniform) for _ in range(20)]
    assert torch.cat([scores for *_, scores in data]).mean() < 0.3
    for step in range(400):
        states, *rest = data[step % len(data)]
        tables.step(states, tables.rollout(states, *rest, torch.arange(BATCH)))
    shaped = torch.log_softmax(tables.logits.detach(), -1) + 100 * tables.slow_q.min(0).values
    assert way(shaped) == best_way()
    assert way(tables.logits) != best_way()

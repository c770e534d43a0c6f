"""trlX's random walks: find the shortest way through a graph, from a model that has only seen random ones.

A prompt is a node, an answer the nodes that follow. Reward and measure are optimality, (10 - length) / (10 - shortest),
0 for a walk that takes an edge that is not there or never arrives. The whole way is gone: tokenizer, sampler, trainer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from trueline.align.answers import answer
from trueline.align.judgement import Judgement
from trueline.align.offline import Labelled, standardised
from trueline.align.trainer import AlignTask, align
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.policy.load import Policy, load_policy, save_policy
from trueline.policy.scoring import make_batch, score
from trueline.records import Exchange, Prompt

NODES, LONGEST, WALKS = 21, 10, 1000
NAMES = [chr(ord("a") + i) for i in range(NODES)]
SAMPLING = PolicyConfig(max_new_tokens=LONGEST - 1)


@dataclass(frozen=True)
class Graph:
    """edges (n, n) bool; walks: random ones, from any node but the goal 0; shortest (n,): nodes on the shortest way."""

    edges: np.ndarray
    walks: list[list[int]]
    shortest: np.ndarray

    @classmethod
    def of(cls, seed: int) -> Graph:
        rng = np.random.RandomState(seed)
        while True:
            edges = rng.rand(NODES, NODES) > 0.9
            np.fill_diagonal(edges, False)
            if edges.any(1).all():
                break
        edges[0] = False
        edges[0, 0] = True
        return cls(edges, [cls._walk(rng, edges) for _ in range(WALKS)], cls._shortest(edges))

    @staticmethod
    def _walk(rng: np.random.RandomState, edges: np.ndarray) -> list[int]:
        node = 0
        while node == 0:
            node = rng.randint(NODES)
        walk = [node]
        while len(walk) < LONGEST and walk[-1] != 0:
            walk.append(rng.choice(np.nonzero(edges[walk[-1]])[0]))
        return walk

    @staticmethod
    def _shortest(edges: np.ndarray) -> np.ndarray:
        length = np.where(np.arange(NODES) == 0, 1, LONGEST)
        for _ in range(LONGEST):
            length = np.minimum(length, 1 + np.where(edges, length[None, :], LONGEST).min(1))
        return length

    def optimality(self, walk: list[int]) -> float:
        """0 for an edge that is not there and for a walk that does not arrive."""
        for i, node in enumerate(walk):
            if not 0 <= node < NODES or (i > 0 and not self.edges[walk[i - 1], node]):
                return 0.0
            if node == 0:
                return float((LONGEST - i - 1) / (LONGEST - self.shortest[walk[0]]))
        return 0.0

    def judge(self, exchanges: list[Exchange]) -> Judgement:
        rewards = np.array([self.optimality(walk_of(e)) for e in exchanges])
        return Judgement(rewards, {"reward": float(rewards.mean()), "eos_share": 0.0})


def walk_of(exchange: Exchange) -> list[int]:
    letters = [exchange.prompt.messages[0].content, *exchange.completion.text.split()]
    return [NAMES.index(x) if x in NAMES else -1 for x in letters]


def exchange_of(walk: list[int]) -> Exchange:
    finish = "stop" if walk[-1] == 0 else "length"
    return Exchange.of(Prompt.from_user(NAMES[walk[0]]), " ".join(NAMES[i] for i in walk[1:]), finish=finish)


PROMPTS = [Prompt.from_user(name) for name in NAMES[1:]]


def new_policy(seed: int) -> Policy:
    """A GPT of 2 layers and d 64 with random weights; a token is a node."""
    vocabulary = {name: i for i, name in enumerate([*NAMES, "<pad>", "<end>"])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(vocabulary), n_positions=16, n_embd=64, n_layer=2, n_head=4,
            bos_token_id=None, eos_token_id=vocabulary["<end>"], pad_token_id=vocabulary["<pad>"],
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(eos_token_id=vocabulary["<end>"], pad_token_id=vocabulary["<pad>"])
    return Policy(model.eval(), tokenizer, "walker")


def cloned(graph: Graph, seed: int, folder: Path) -> Path:
    """Behaviour cloning: a policy that walks as the data does."""
    policy = new_policy(seed)
    ids = [policy.tokenizer.encode(" ".join(NAMES[i] for i in walk)) for walk in graph.walks]
    ends = [[policy.tokenizer.eos_token_id] if walk[-1] == 0 else [] for walk in graph.walks]
    batch = make_batch([w[:1] for w in ids], [w[1:] + e for w, e in zip(ids, ends, strict=True)], policy.pad_id)
    optimiser = torch.optim.AdamW(policy.model.parameters(), lr=3e-3)
    order = np.random.default_rng(seed)
    for _ in range(200):
        part = batch.rows(torch.from_numpy(order.choice(len(ids), 100, replace=False)))
        loss = -torch.where(part.mask, score(policy.model, part, 1.0).logprobs, 0.0).sum() / part.mask.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder.mkdir(parents=True)
    save_policy(policy, folder)
    return folder


def measured(graph: Graph, policy: Policy, each: int = 20) -> float:
    """Mean optimality of sampled walks, `each` from every node."""
    answers = answer(policy, PROMPTS, SAMPLING, each, "", ("measure", 0))
    return float(graph.judge(answers.exchanges).rewards.mean())


def trained(graph: Graph, start: Path, folder: Path, algorithm: str, seed: int, **settings) -> Policy:
    config = Config(
        policy=SAMPLING,
        align=AlignConfig(
            **{
                "algorithm": algorithm, "prompts_per_step": 32, "samples_per_prompt": 4, "workers": 1,
                "learning_rate": 1e-3, "kl": {"coefficient": 0.01}, "watch_every": 1000, **settings,
            }
        ),
    )  # fmt: skip
    data = standardised([(Labelled(exchange_of(w), graph.optimality(w)),) for w in graph.walks])
    task = AlignTask(str(start), str(start), PROMPTS, graph.judge, config, seed, data)
    return load_policy(align(task, folder), device="cpu")


RUNS = {
    # The settings of trlX's ppo_randomwalks.yml.
    "ppo": {
        "steps": 60,
        "learning_rate": 3e-4,
        "kl": {"coefficient": 0.05},
        "ppo": {"value_coefficient": 1.2, "critic_warmup": 0},
    },
    "rloo": {"steps": 200},
    "reinforce": {"steps": 200},
    "grpo": {"steps": 200},
    "q_learning": {"steps": 200},
    "ilql": {"steps": 200, "ilql": {"tau": 0.8, "beta": 100.0, "target_rate": 0.1, "target_every": 5}},
}


SEEDS = (0, 1) if os.environ.get("TRUELINE_LOAD") == "full" else (0,)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph.of(1000)


@pytest.fixture(scope="module")
def start(graph, tmp_path_factory):
    """start(seed): the folder of a policy that walks as the data does, made once."""
    made: dict[tuple[int, int], Path] = {}

    def find(seed: int, which: Graph = graph) -> Path:
        key = (seed, id(which))
        if key not in made:
            made[key] = cloned(which, seed, tmp_path_factory.mktemp("walks") / "start")
        return made[key]

    return find


def test_the_graph_is_that_of_trlx(graph):
    assert np.mean([graph.optimality(walk) for walk in graph.walks]) == pytest.approx(0.3515, abs=5e-5)
    assert graph.edges.sum() == 52
    assert graph.shortest[1:].tolist() == [3, 4, 2, 4, 3, 5, 5, 3, 3, 3, 4, 4, 2, 5, 4, 4, 4, 3, 4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo", "rloo", "reinforce", "grpo", "q_learning"])
def test_sampled_walks_become_shortest_ways(graph, start, tmp_path, name):
    found = []
    for seed in SEEDS:
        assert measured(graph, load_policy(start(seed), device="cpu")) < 0.45
        found.append(measured(graph, trained(graph, start(seed), tmp_path / str(seed), name, seed, **RUNS[name])))
    assert np.mean(found) >= 0.97 and min(found) >= 0.95, found


@pytest.mark.slow
def test_ilql_finds_shortest_ways_in_random_walks(graph, start, tmp_path):
    """With the weight of Q at 100; at 0 it walks as the data does, so that it is Q that knows the way."""
    found, without = [], []
    for seed in SEEDS:
        policy = trained(graph, start(seed), tmp_path / str(seed), "ilql", seed, **RUNS["ilql"])
        found.append(measured(graph, policy))
        without.append(measured(graph, replace(policy, shape=None)))
    assert np.mean(found) >= 0.95 and min(found) >= 0.92, found
    assert max(without) <= 0.4, without


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ppo", *(pytest.param(n, marks=pytest.mark.long) for n in ("rloo", "q_learning", "ilql"))]
)
def test_a_harder_graph(start, tmp_path, name):
    """The first after 1000 whose nodes all reach the goal and whose random walks do worse: a mean of .145."""
    graph = Graph.of(1005)
    policy = trained(graph, start(0, graph), tmp_path, name, 0, **RUNS[name])
    assert measured(graph, policy) >= 0.92

"""Runs in RLlib, on one cluster of this machine for all tests."""

import itertools
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("ray.rllib")
import ray
from ray import tune
from safetensors.torch import load_file

from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement
from trueline.align.trainer import AlignTask
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.engines.rllib import configs, training
from trueline.engines.rllib.engine import run
from trueline.engines.rllib.env import TokenEnv, TokenTask
from trueline.engines.rllib.language import token_task
from trueline.engines.rllib.penalty import KLPenalty
from trueline.engines.rllib.state import Position, restore, save
from trueline.errors import InputError, RunError
from trueline.policy.load import load_policy
from trueline.policy.sampler import sample
from trueline.policy.scoring import make_batch, score
from trueline.records import Prompt

PROMPTS = [Prompt.from_user(f"order {n} kettle broken") for n in range(12, 20)]
LONGEST = 6


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(
        address="local", num_cpus=3, include_dashboard=False, object_store_memory=200 * 2**20,
        _node_ip_address="127.0.0.1", log_to_driver=False, logging_level=logging.ERROR,
    )  # fmt: skip
    yield
    ray.shutdown()


def plain_characters():
    """A judge that rewards the share of plain characters: most tokens of the tiny policy are others."""

    # A function in a function: a runner in another process cannot import this module.
    def judge(exchanges):
        shares = [np.mean([c.isascii() for c in e.completion.text] or [0.0]) for e in exchanges]
        return Judgement(np.array(shares), {})

    return judge


def task(folder, algorithm="ppo", iterations=10, judge=None, **settings):
    rllib = {
        "algorithm": algorithm, "iterations": iterations, "batch": 256, "minibatch": 64, "epochs": 2,
        "learning_rate": 3e-3, "fcnet_hiddens": [64, 64], **settings,
    }  # fmt: skip
    config = Config(
        policy=PolicyConfig(max_new_tokens=LONGEST), align=AlignConfig(kl={"coefficient": 0.002}, rllib=rllib)
    )
    return AlignTask(str(folder), str(folder), PROMPTS, judge or plain_characters(), config, 3)


def mean_reward(folder):
    """Of 64 fresh answers, drawn by the sampler that everything else uses."""
    policy = load_policy(folder, device="cpu")
    ids = token_task(task(folder), policy).prompts
    keys = [[("fresh", i, j) for j in range(8)] for i in range(len(ids))]
    drawn = sample(policy, ids, keys, max_new_tokens=LONGEST, temperature=1.0)
    texts = [policy.tokenizer.decode(s.tokens, skip_special_tokens=True) for row in drawn for s in row]
    return np.mean([np.mean([c.isascii() for c in text] or [0.0]) for text in texts])


def test_ppo_learns_and_leaves_an_ordinary_policy(tiny_folder, tmp_path):
    lines = []
    trained = run(task(tiny_folder), tmp_path / "run", lines.append)
    rows = read_metrics(tmp_path / "run")
    assert trained == tmp_path / "run" / "policy"
    assert lines == rows
    assert [r["step"] for r in rows] == list(range(1, 11))
    assert rows[-1]["reward"] > rows[0]["reward"] + 0.08
    assert rows[-1]["kl"] > rows[0]["kl"] + 0.2
    assert all(1 <= r["length"] <= LONGEST for r in rows)
    assert mean_reward(trained) > mean_reward(tiny_folder) + 0.08
    assert run(task(tiny_folder), tmp_path / "run", lines.append) == trained
    assert len(lines) == 10


def test_an_interrupted_run_goes_on(tiny_folder, tmp_path):
    def stop(row):
        if row["step"] == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(task(tiny_folder, iterations=8), tmp_path / "run", stop)
    assert not (tmp_path / "run" / "policy").exists()
    assert not list((tmp_path / "run").rglob("*.pkl"))
    before = read_metrics(tmp_path / "run")
    lines = []
    run(task(tiny_folder, iterations=8), tmp_path / "run", lines.append)
    assert [row["step"] for row in lines] == [6, 7, 8]
    rows = read_metrics(tmp_path / "run")
    assert rows[:5] == before[:5]
    assert [r["step"] for r in rows] == list(range(1, 9))
    assert rows[5]["tokens"] > rows[4]["tokens"]
    # What was learned is still there: the KL to the reference is that of iteration 5, not of a new start.
    assert rows[5]["kl"] > rows[0]["kl"] + 0.5 * (rows[4]["kl"] - rows[0]["kl"])


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_state_comes_back_whole(tiny_folder, tmp_path, algorithm):
    asked = task(tiny_folder, algorithm)
    tokens = token_task(asked, load_policy(tiny_folder, device="cpu"))
    tune.register_env(configs.ENVIRONMENT, lambda context: TokenEnv(tokens))
    first, second = (configs.algorithm_config(asked, 0, 0).build_algo() for _ in range(2))
    for _ in range(2 if algorithm == "dqn" else 1):
        first.train()
    save(first, Position(1, 256), tmp_path / "rllib")
    restore(second, tmp_path / "rllib")
    a, b = (x.learner_group.get_state()["learner"] for x in (first, second))
    weights = [x["rl_module"]["default_policy"] for x in (a, b)]
    assert weights[0].keys() == weights[1].keys()
    assert all(np.array_equal(weights[0][k], weights[1][k]) for k in weights[0])
    (x, y) = (next(iter(s["optimizer"].values()))["state"]["state"] for s in (a, b))
    assert len(x) > 0 and any(np.abs(one["exp_avg"]).max() > 0 for one in x.values())
    assert all(np.array_equal(x[i][k], y[i][k]) for i in x for k in x[i])
    own = second.env_runner.module.state_dict()
    assert all(np.array_equal(own[k].numpy(), weights[0][k]) for k in own)
    # What would be handed out says of an answer what the module says of it.
    trained = training.learned_policy(first, load_policy(tiny_folder, device="cpu"))
    answer = [40, 41, 300]
    env = TokenEnv(tokens)
    seen = env.reset(seed=0)[0]
    with torch.no_grad():
        wanted = score(trained.model, make_batch([tokens.prompts[env.prompt]], [answer], 0), 1.0).logprobs[0]
    said = []
    for token in answer:
        row = {k: torch.from_numpy(v)[None] for k, v in seen.items()}
        network = first.env_runner.module.network if algorithm == "ppo" else first.env_runner.module.encoder
        everything = {**row, "action_mask": torch.ones_like(row["action_mask"])}
        with torch.no_grad():
            said.append(network(everything)[1].log_softmax(-1)[0, token].item())
        seen = env.step(token)[0]
    np.testing.assert_allclose(said, wanted.numpy(), atol=1e-4)
    first.stop()
    second.stop()


def test_a_reward_that_is_no_number_stops_the_run(tiny_folder, tmp_path):
    def judge(exchanges):
        return Judgement(np.full(len(exchanges), np.nan), {})

    with pytest.raises(RunError, match="no number"):
        run(task(tiny_folder, judge=judge), tmp_path / "run")


def test_no_answers_stop_the_run(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_healthy", lambda algorithm: False)
    with pytest.raises(RunError, match="finished no answer in 5 iterations"):
        run(task(tiny_folder), tmp_path / "run")
    assert [r["step"] for r in read_metrics(tmp_path / "run")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_small_network_teaches_the_policy(tiny_folder, tmp_path):
    trained = run(task(tiny_folder, iterations=20, network="small"), tmp_path / "run")
    assert mean_reward(trained) > mean_reward(tiny_folder) + 0.1
    assert load_file(trained / "model.safetensors").keys() == load_file(tiny_folder / "model.safetensors").keys()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["appo", pytest.param("impala", marks=pytest.mark.long)])
def test_runners_that_sample_meanwhile(tiny_folder, tmp_path, algorithm):
    trained = run(task(tiny_folder, algorithm, iterations=6), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [r["step"] for r in rows] == list(range(1, 7))
    assert max(r.get("kl", 0.0) for r in rows) > rows[0]["kl"] + 0.05
    a, b = (load_file(folder / "model.safetensors") for folder in (trained, tiny_folder))
    assert a.keys() == b.keys()
    assert any(not torch.equal(a[name], b[name]) for name in a)


ON, BACK, END, START = range(4)
WORTH, BETA = (0.3, 0.0, 0.1, 0.0, 1.0), 0.05


def worth(i, answer, finished):
    state = 0
    for token in answer:
        if token == END:
            return WORTH[state]
        state = min(state + 1, 4) if token == ON else 0
    return 0.0


class Uniform(KLPenalty):
    """The reference of tests/align/test_mdp.py: each of the three tokens is as likely."""

    def __init__(self):
        super().__init__(None, BETA, 1.0, sampled=False)

    def _reference_logprobs(self, prompts, answers):
        return [np.full(len(a), -np.log(3)) for a in answers]


@pytest.mark.slow
def test_dqn_finds_the_best_way(tiny_folder):
    """The MDP of tests/align/test_mdp.py; what is best is found by trying all answers."""
    answers = [a for n in range(1, 7) for a in itertools.product((ON, BACK, END), repeat=n) if END not in a[:-1]]
    returns = {a: worth(0, a, True) - BETA * np.log(3) * len(a) for a in answers if a[-1] == END or len(a) == 6}
    best = max(returns, key=lambda a: returns[a])
    assert best == (ON, ON, ON, ON, END)
    tokens = TokenTask([[START]], (END,), np.array([1, 1, 1, 0], bool), 6, worth)
    asked = task(tiny_folder, "dqn", iterations=10, batch=1000, network="small", learning_rate=1e-3)
    config = configs.algorithm_config(replace(asked, seed=0), 0, 0).environment("mdp")
    config.learners(learner_connector=lambda *spaces: Uniform())
    tune.register_env("mdp", lambda context: TokenEnv(tokens))
    algorithm = config.build_algo()
    for _ in range(10):
        result = algorithm.train()
    module, env = algorithm.learner_group._learner.module["default_policy"], TokenEnv(tokens)
    seen, done, way, first = env.reset(seed=0)[0], False, [], None
    while not done:
        batch = {"obs": {k: torch.from_numpy(v)[None] for k, v in seen.items()}}
        with torch.no_grad():
            worths = module.compute_q_values(batch)["qf_preds"][0]
        first = worths if first is None else first
        way.append(int(worths.argmax()))
        seen, _, done, _, _ = env.step(way[-1])
    algorithm.stop()
    assert tuple(way) == best
    assert first.max().item() == pytest.approx(returns[best], abs=0.1)
    assert result["env_runners"]["episode_return_mean"] > 0.97


def test_what_rllib_cannot_keep_is_refused(tiny_folder, tmp_path):
    for settings, named in (({"lora_rank": 2}, "lora_rank"), ({"kl": {"target": 1.0}}, "kl.target")):
        asked = task(tiny_folder)
        config = asked.config.model_copy(update={"align": AlignConfig(**settings)})
        with pytest.raises(InputError, match=named):
            run(replace(asked, config=config), tmp_path / "run")


def test_without_rllib_it_says_how_to_install_it(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray.rllib", None)
    with pytest.raises(InputError, match=r"pip install 'trueline\[ray\]'"):
        run(task(tiny_folder), tmp_path / "run")

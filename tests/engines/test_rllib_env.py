"""The answer as an episode, its modules and the KL's share of the reward, without a cluster."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip("ray.rllib")
from gymnasium.utils.env_checker import check_env
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from trueline.align.judgement import Judgement
from trueline.align.trainer import AlignTask
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.engines.rllib.configs import MODULES, Q_MODULES, model_config
from trueline.engines.rllib.env import TokenEnv, TokenTask
from trueline.engines.rllib.language import token_task
from trueline.engines.rllib.penalty import KLPenalty
from trueline.policy.scoring import make_batch, score
from trueline.records import Prompt

PROMPTS = [Prompt.from_user(text) for text in ("order 12", "kettle broken today anna", "late")]
BETA, TEMPERATURE, LONGEST = 0.3, 0.7, 6


def judge_length(exchanges):
    rewards = np.array([-len(e.completion.text) - 100 * (e.completion.finish == "length") for e in exchanges])
    return Judgement(rewards.astype(float), {})


@pytest.fixture
def asked(tiny_folder):
    config = Config(
        policy=PolicyConfig(max_new_tokens=LONGEST, temperature=TEMPERATURE),
        align=AlignConfig(kl={"coefficient": BETA}, rllib={"fcnet_hiddens": [16, 16]}),
    )
    return AlignTask(str(tiny_folder), str(tiny_folder), PROMPTS, judge_length, config, 0)


@pytest.fixture
def tokens(asked, tiny):
    return token_task(asked, tiny)


def observations(env, n, rng):
    """n observations of random allowed answers, as a batch."""
    seen, found = env.reset(seed=1)[0], []
    allowed = np.flatnonzero(env.task.allowed)
    while len(found) < n:
        found.append(seen)
        seen, _, done, _, _ = env.step(rng.choice(allowed))
        seen = env.reset()[0] if done else seen
    return {k: torch.from_numpy(np.stack([one[k] for one in found])) for k in seen}


def module(classes, network, asked, env):
    settings = model_config(asked) | {
        "dueling": True, "double_q": True, "epsilon": 1.0, "num_atoms": 1, "std_init": 0.5, "v_max": 1.0, "v_min": -1.0
    }  # fmt: skip
    made = classes[network](
        observation_space=env.observation_space, action_space=env.action_space, model_config=settings
    )
    if network == "policy":
        torch.nn.init.normal_(made.vf.weight)
    return made


def test_the_environment_is_one(tokens):
    check_env(TokenEnv(tokens), skip_render_check=True)


def test_a_seed_names_the_prompts(tokens):
    def drawn(seed):
        env = TokenEnv(tokens)
        return [env.reset(seed=seed)[0]["tokens"].tolist()] + [env.reset()[0]["tokens"].tolist() for _ in range(20)]

    assert drawn(4) == drawn(4)
    assert drawn(4) != drawn(5)
    assert len({tuple(row) for row in drawn(4)}) == len(PROMPTS)


def test_the_reward_is_the_judges_of_the_text(tokens, tiny):
    """By hand: " lamp" and " refund" are 5 and 7 characters, of which the outer blank is no part of the answer."""
    words = [tiny.tokenizer.encode(w) for w in (" lamp", " refund")]
    env = TokenEnv(tokens)
    env.reset(seed=0)
    steps = [env.step(t) for t in (*words[0], *words[1], tiny.end_ids[0])]
    assert [s[1] for s in steps[:-1]] == [0.0] * (len(steps) - 1)
    assert steps[-1][1:4] == (-11.0, True, False)
    env.reset()
    steps = [env.step(words[0][0]) for _ in range(LONGEST)]
    text = tiny.tokenizer.decode([words[0][0]] * LONGEST).strip()
    assert steps[-1][1:4] == (-100.0 - len(text), True, False)
    assert not any(s[2] for s in steps[:-1])


def test_padding_and_roles_may_not_be_produced(tokens, tiny):
    forbidden = set(np.flatnonzero(~tokens.allowed).tolist())
    assert forbidden == set(tiny.tokenizer.all_special_ids) - {tiny.tokenizer.eos_token_id}
    seen, _ = TokenEnv(tokens).reset(seed=0)
    assert set(np.flatnonzero(seen["action_mask"] == 0).tolist()) == forbidden


@pytest.mark.parametrize("network", list(MODULES))
def test_no_forbidden_token_is_drawn(asked, tokens, network):
    env, rng = TokenEnv(tokens), np.random.default_rng(0)
    seen = observations(env, 64, rng)
    made = module(MODULES, network, asked, env)
    logits = made.forward_exploration({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]
    assert (logits.softmax(-1)[:, ~tokens.allowed] == 0).all()
    assert torch.isfinite(logits[:, tokens.allowed]).all()
    picky = module(Q_MODULES, network, asked, env)
    for _ in range(20):
        chosen = picky.forward_exploration({Columns.OBS: seen}, t=0)[Columns.ACTIONS]
        assert tokens.allowed[chosen.numpy()].all()


@pytest.mark.parametrize("classes", [MODULES, Q_MODULES])
def test_a_module_says_what_the_policy_says(asked, tokens, tiny, classes):
    """Of tokens that are allowed: the log-probabilities of `policy.scoring` among them."""
    env = TokenEnv(tokens)
    made = module(classes, "policy", asked, env)
    prompt, answer = tokens.prompts[1], [40, 41, 300, 7]
    rows = []
    env.reset(seed=0)
    env.prompt, env.answer = 1, []
    for token in answer:
        rows.append(env._seen())
        env.step(token)
    seen = {k: torch.from_numpy(np.stack([r[k] for r in rows])) for k in rows[0]}
    with torch.no_grad():
        if classes is MODULES:
            said = torch.log_softmax(made.forward_inference({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS], -1)
        else:
            said = torch.log_softmax(made.compute_q_values({Columns.OBS: seen})[QF_PREDS] / BETA, -1)
        whole = make_batch([prompt] * tokens.vocabulary, [[*answer[:3], t] for t in range(tokens.vocabulary)], 0)
        last = score(tiny.model, whole, TEMPERATURE).logprobs[:, -1]
        steps = score(tiny.model, make_batch([prompt], [answer], 0), TEMPERATURE).logprobs[0]
    wanted = torch.log_softmax(last.masked_fill(~torch.from_numpy(tokens.allowed), -torch.inf), -1)
    np.testing.assert_allclose(said[3].numpy(), wanted.numpy(), atol=1e-4)
    forbidden = [t for t in range(tokens.vocabulary) if not tokens.allowed[t]]
    assert said[0, answer[0]].item() > steps[0].item()
    assert said[0, answer[0]].item() - steps[0].item() < 0.2
    assert all(said[0, t] == -torch.inf for t in forbidden)


def test_padding_changes_nothing(asked, tokens):
    env = TokenEnv(tokens)
    made = module(MODULES, "policy", asked, env)
    seen = observations(env, 12, np.random.default_rng(2))
    noisy = dict(seen)
    behind = torch.arange(tokens.width) >= seen["length"]
    noisy["tokens"] = torch.where(behind, torch.randint(0, tokens.vocabulary, seen["tokens"].shape), seen["tokens"])
    a, b = (made.forward_train({Columns.OBS: x})[Columns.ACTION_DIST_INPUTS] for x in (seen, noisy))
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(made.compute_values({Columns.OBS: seen}), made.compute_values({Columns.OBS: noisy}))


@pytest.mark.parametrize("added", [0, 1])
def test_the_penalty_by_hand(tokens, tiny, added):
    """-beta (log pi - log ref) for each token, log ref by plain softmax over the model's logits."""
    env = TokenEnv(tokens)
    answer, logprobs = [40, 41, 300], [-1.0, -2.5, -0.5]
    episode = SingleAgentEpisode(observation_space=env.observation_space, action_space=env.action_space)
    episode.add_env_reset(env.reset(seed=3)[0])
    for token, logprob in zip(answer, logprobs, strict=True):
        seen = env.step(token)[0]
        episode.add_env_step(seen, token, 2.0, extra_model_outputs={Columns.ACTION_LOGP: logprob})
    for _ in range(added):
        episode.add_env_step(seen, answer[-1], 0.0, extra_model_outputs={Columns.ACTION_LOGP: -9.0})
    with torch.no_grad():
        ids = torch.tensor([tokens.prompts[env.prompt] + answer])
        table = torch.log_softmax(tiny.model(ids).logits[0] / TEMPERATURE, -1)
    at = len(tokens.prompts[env.prompt]) - 1
    ref = [table[at + i, t].item() for i, t in enumerate(answer)]
    for sampled in (True, False):
        episodes = [episode]
        shared = {"_added_loss_mask_for_valid_episode_ts": True} if added else {}
        penalty = KLPenalty(tiny, BETA, TEMPERATURE, sampled=sampled)
        penalty(rl_module=None, batch={}, episodes=episodes, shared_data=shared)
        own = logprobs if sampled else [0.0] * 3
        wanted = [2.0 - BETA * (a - b) for a, b in zip(own, ref, strict=True)] + [0.0] * added
        assert episodes[0].get_rewards() == pytest.approx(wanted, abs=1e-5)
        assert episode.get_return() == 6.0


def test_the_width_holds_the_longest_answer():
    task = TokenTask([[5, 5, 5], [5]], (1,), np.ones(6, bool), 4, lambda i, answer, finished: math.nan)
    env = TokenEnv(task)
    assert task.width == 7
    env.reset(seed=0)
    for _ in range(4):
        seen, _, done, _, _ = env.step(2)
    assert done
    assert env.observation_space.contains(seen)

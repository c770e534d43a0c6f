"""Episodes of several turns: only the policy's tokens count, whatever stands between them, in whatever batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Answers, Request, answer, sequence_kl
from trueline.align.best_of_n import best_of_n
from trueline.align.crew import crew
from trueline.align.episodes import retold
from trueline.align.experience import measure
from trueline.align.journal import read_metrics
from trueline.align.judgement import Judgement
from trueline.align.offline import Labelled
from trueline.align.trainer import AlignTask, align
from trueline.align.update import update
from trueline.config import AlignConfig, Config, PolicyConfig
from trueline.errors import InputError
from trueline.policy.chat import decode_answer, encode_answer, encode_prompt, encode_turn
from trueline.policy.load import Policy, load_policy, save_policy
from trueline.policy.playing import play
from trueline.policy.scoring import make_batch, score
from trueline.policy.tokenizer import train_tokenizer
from trueline.records import Exchange, Message, Prompt
from trueline.scenarios.environments import ENVIRONMENTS, Played
from trueline.scenarios.transcript import read_transcript

SETTINGS = PolicyConfig(max_new_tokens=60, temperature=0.9)
ROOM = PolicyConfig(max_new_tokens=24)
SAMPLING = ("rloo", "reinforce", "grpo", "ppo", "q_learning")


SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip
FAMILIES = {
    "qwen3": SIZES,
    "gemma2": {**SIZES, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
}


class Echo:
    """Answers with how long it was spoken to, as tool and as user in turn, three times."""

    def __init__(self, prompt):
        self.turns = 0

    def step(self, said):
        self.turns += 1
        text = f"order {len(said)} kettle <|end|>" + " lamp" * (len(said) % 3)
        return None if self.turns == 3 else Message("system" if self.turns == 1 else "user", text)


@pytest.fixture(autouse=True)
def echo(monkeypatch):
    monkeypatch.setitem(ENVIRONMENTS, "echo", Played(Echo, lambda exchange: 0.5))


def prompts(n=5):
    """The lengths differ, so that there is padding on both sides."""
    return [Prompt.from_user("order 12" + " kettle broken" * i, {"environment": "echo"}) for i in range(n)]


@pytest.fixture(scope="module")
def talker_folder(tiny_folder, tmp_path_factory):
    """The tiny policy, with an end of a turn likelier than by chance."""
    policy, folder = load_policy(tiny_folder, device="cpu"), tmp_path_factory.mktemp("talker")
    policy.model.generation_config.eos_token_id = [policy.tokenizer.eos_token_id, *range(20, 44)]
    save_policy(policy, folder)
    return folder


@pytest.fixture
def talker(talker_folder):
    return load_policy(talker_folder, device="cpu")


def of_family(family, tokenizer, ends):
    """A random model with what sets a family apart, such as softcapped logits or a state."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family, vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=0,
        initializer_range=0.3, **FAMILIES[family],
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config = GenerationConfig(eos_token_id=list(ends), pad_token_id=0)
    return Policy(model, tokenizer, family)


def plain_logprobs(policy, prompt, tokens, temperature):
    """Of all tokens behind a prompt, by a forward pass without batch, padding and cache."""
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.float() / temperature, -1).gather(-1, torch.tensor(tokens)[:, None])[:, 0]


def full(answers, pad_id):
    """The same with every token behind the prompt as the policy's own."""
    return make_batch(answers.prompt_tokens, answers.answer_tokens, pad_id)


def own_of(values, answers, width):
    """(B, T) own entries of (B, all) values, by hand."""
    found = values.new_zeros((len(answers.own), width, *values.shape[2:]))
    for i, row in enumerate(answers.own):
        mine = values[i, : len(row)][torch.tensor(row)]
        found[i, : len(mine)] = mine
    return found


def test_an_episode_is_what_both_sides_said_in_the_chat_form(talker):
    answers = answer(talker, prompts(), SETTINGS, 4, "me", ("k",))
    assert answers.groups == [g for g in range(5) for _ in range(4)]
    turns = 0
    for exchange, tokens, own in zip(answers.exchanges, answers.answer_tokens, answers.own, strict=True):
        expected, marks = [], []
        said = read_transcript(exchange.completion.text)
        desk, at = Echo(None), 0
        for turn in said:
            if turn.role == "assistant":
                end = next((i for i in range(at, len(tokens)) if tokens[i] in talker.end_ids), len(tokens) - 1)
                mine = tokens[at : end + 1]
                assert decode_answer(talker, mine) == turn.content
                told = desk.step(turn.content)
            else:
                assert turn == told
                mine = encode_turn(talker, turn)
                turns += 1
            expected, marks, at = expected + mine, marks + [turn.role == "assistant"] * len(mine), at + len(mine)
        assert (tokens, own) == (expected[: len(tokens)], marks[: len(tokens)]) and own[-1]
        over = sum(t.role == "assistant" for t in said) == 3 and tokens[-1] in talker.end_ids
        assert (exchange.completion.finish == "stop") == over
    assert turns > 20 and {e.completion.finish for e in answers.exchanges} == {"stop", "length"}


@pytest.mark.parametrize("family", FAMILIES)
def test_captured_logprobs_equal_a_plain_pass(talker, family):
    policy = of_family(family, talker.tokenizer, talker.end_ids)
    rows = [policy.tokenizer.encode(text) for text in ("hello we", "order 12 34 kettle broken anna", "a")]
    told = []

    def follow(row, turn):
        assert turn[-1] in policy.end_ids and not set(turn[:-1]) & set(policy.end_ids)
        told.append(row)
        return None if told.count(row) == 3 else [50, policy.end_ids[0], 51 + len(turn)]

    found = play(
        policy, rows, [[("p", i, 0), ("p", i, 1)] for i in range(3)], follow, max_new_tokens=60, temperature=0.8
    )
    assert len(told) >= 4 and len(found) == 6
    for prompt, played in zip([r for r in rows for _ in range(2)], found, strict=True):
        expected = plain_logprobs(policy, prompt, played.tokens, 0.8)[torch.tensor(played.own)]
        torch.testing.assert_close(torch.tensor(played.logprobs), expected, atol=2e-5, rtol=1e-4)


CHAT_ML = (
    "{% for m in messages %}{% if m['role'] == refused %}{{ raise_exception('no') }}{% endif %}"
    "[{{ m['role'] }}]{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize("template", ["own", "chat", "refuses system", "plain"])
def test_a_turn_stands_where_the_chat_form_puts_it(talker, template):
    """A prompt, an answer and what follows, put together, are the conversation encoded as a whole."""
    policy = talker
    if template != "own":
        tokenizer = train_tokenizer(["order kettle lamp user assistant system"] * 20, 320, chat=False)
        policy = replace(talker, tokenizer=tokenizer)
        refused = "'system'" if template == "refuses system" else "''"
        tokenizer.chat_template = None if template == "plain" else CHAT_ML.replace("refused", refused)
    first, told = Message("user", "order"), Message("system", "kettle <|end|> 12")
    end = policy.tokenizer.eos_token_id
    ids = encode_prompt(policy, Prompt((first,)), 99) if template != "plain" else []
    built = [*ids, *encode_answer(policy, "lamp"), *encode_turn(policy, told)]
    if template == "refuses system":
        told = replace(told, role="user")
    said = (first, Message("assistant", "lamp"), told)
    if template == "plain":
        assert policy.tokenizer.decode(built) == "lamp<|end|>\n\nSystem: kettle <|end|> 12\n\nAssistant:"
        assert built.count(end) == 1
    else:
        assert built == encode_prompt(policy, Prompt(said), 99)
        assert built.count(end) == (1 if template == "own" else 4)


def test_an_episode_depends_on_its_prompt_and_key_alone(talker):
    asked, mixed = prompts(), [Prompt.from_user("hello"), *prompts(), Prompt.from_user("thanks")]
    together = answer(talker, asked, SETTINGS, 3, "me", ("k",))
    backwards = answer(talker, asked[::-1], SETTINGS, 3, "me", ("k",))
    beside = answer(talker, mixed, SETTINGS, 3, "me", ("k",))
    alone = [answer(talker, [p], SETTINGS, 3, "me", ("k",)) for p in asked]
    texts = [e.completion.text for e in together.exchanges]
    assert texts == [e.completion.text for part in alone for e in part.exchanges]
    assert texts == [e.completion.text for i in range(4, -1, -1) for e in backwards.exchanges[3 * i : 3 * i + 3]]
    assert texts == [e.completion.text for e in beside.exchanges[3:-3]] and beside.own[3:-3] == together.own
    assert all(map(all, beside.own[:3])) and beside.groups == [g for g in range(7) for _ in range(3)]
    assert beside.lengths == [len(row) for row in beside.logprobs]
    assert answer(talker, asked, SETTINGS, 3, "me", ("other",)).exchanges != together.exchanges


def test_prompts_of_one_turn_are_answered_as_before(talker):
    asked = [Prompt.from_user("order 12 kettle"), Prompt.from_user("hello")]
    found = answer(talker, asked, SETTINGS, 2, "me", ("k",))
    assert found.own == [] and found.batch(0).at is None
    assert found.lengths == [len(t) for t in found.answer_tokens]


def test_a_control_token_from_the_other_side_stays_text(talker):
    answers = answer(talker, prompts(1), SETTINGS, 8, "me", ("k",))
    end = talker.tokenizer.eos_token_id
    for tokens, own in zip(answers.answer_tokens, answers.own, strict=True):
        assert all(mine for token, mine in zip(tokens, own, strict=True) if token == end)


@pytest.mark.parametrize("heads", [(), ("value", "q1", "q2")])
@pytest.mark.parametrize("family", ["llama", "gemma2"])  # a plain head, and one with softcapped logits
def test_what_is_said_of_own_tokens_is_what_a_pass_over_all_says_of_them(talker, family, heads):
    answers = answer(talker, prompts(), SETTINGS, 3, "me", ("k",))
    policy = talker if family == "llama" else of_family(family, talker.tokenizer, talker.end_ids)
    targets = heads[1:]
    actor = Actor.new(policy, heads, targets)
    batch = answers.batch(0)
    (mine, entropy), (whole, entropies) = actor(batch, 0.9), actor(full(answers, 0), 0.9)
    assert batch.mask.sum(-1).tolist() == answers.lengths
    for name in ("logprobs", "values", "q", "q_logsumexp", "target_q"):
        here, there = getattr(mine, name), getattr(whole, name)
        for a, b in (
            zip(*((x if x.dim() == 3 else [x]) for x in (here, there)), strict=True) if here is not None else ()
        ):
            expected = own_of(b, answers, batch.mask.shape[1])
            torch.testing.assert_close(torch.where(batch.mask, a, 0.0), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        torch.where(batch.mask, entropy, 0.0), own_of(entropies, answers, batch.mask.shape[1]), atol=1e-5, rtol=1e-5
    )


def test_the_gradient_is_that_of_own_tokens_alone(talker):
    """By hand in float64: the policy's log-probabilities, times an advantage, and nothing of the other side's."""
    answers = answer(talker, prompts(), SETTINGS, 3, "me", ("k",))
    model = talker.model.double()
    advantage = torch.linspace(-1, 1, len(answers.groups), dtype=torch.float64)
    batch = answers.batch(0)
    weights = [p for p in model.parameters() if p.requires_grad]
    part, _ = batch.trimmed()
    loss = torch.where(part.mask, score(model, part, 0.9).logprobs, 0.0).sum(-1) @ advantage.float()
    found = torch.autograd.grad(loss, weights)
    total = 0.0
    for prompt, tokens, own, a in zip(
        answers.prompt_tokens, answers.answer_tokens, answers.own, advantage, strict=True
    ):
        logits = model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1] / 0.9
        logprobs = torch.log_softmax(logits, -1).gather(-1, torch.tensor(tokens)[:, None])[:, 0]
        total = total + a * logprobs[torch.tensor(own)].sum()
    for x, y in zip(found, torch.autograd.grad(total, weights), strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)


def test_what_the_other_side_says_is_context(talker):
    """Other words between the turns change what is predicted behind them, and nothing in front of them."""
    answers = answer(talker, prompts(), SETTINGS, 3, "me", ("k",))
    i = next(i for i, row in enumerate(answers.own) if not all(row))
    first = answers.own[i].index(False)
    other = [7 if not mine else t for t, mine in zip(answers.answer_tokens[i], answers.own[i], strict=True)]
    changed = replace(answers, answer_tokens=[other if j == i else t for j, t in enumerate(answers.answer_tokens)])
    with torch.no_grad():
        old, new = (score(talker.model, x.batch(0), 1.0).logprobs[i] for x in (answers, changed))
    torch.testing.assert_close(old[:first], new[:first], atol=1e-6, rtol=0)
    assert (old[first:] - new[first:]).abs().max() > 1e-3


def judge_words(exchanges):
    """Rewards short turns of the policy's."""
    said = [[t.content for t in read_transcript(e.completion.text) if t.role == "assistant"] for e in exchanges]
    rewards = np.array([-sum(map(len, turns)) / 20 for turns in said])
    return Judgement(rewards, {"reward": float(rewards.mean()), "eos_share": 0.0})


def task(folder, algorithm="rloo", steps=3, data=(), **settings):
    config = Config(
        policy=ROOM,
        align=AlignConfig(**{"algorithm": algorithm, "steps": steps, "prompts_per_step": 4, "workers": 1, **settings}),
    )
    return AlignTask(str(folder), str(folder), prompts(8), judge_words, config, 3, data)


def test_training_raises_the_reward(talker_folder, tmp_path):
    align(
        task(talker_folder, steps=20, learning_rate=1e-2, prompts_per_step=6, kl={"coefficient": 0.001}),
        tmp_path / "run",
    )
    rows = read_metrics(tmp_path / "run")
    start, end = (np.mean([r["reward"] for r in part]) for part in (rows[:3], rows[-3:]))
    assert end > start + 0.3 and rows[-1]["kl"] > 0.05


@pytest.mark.parametrize("algorithm", SAMPLING)
def test_every_algorithm_that_samples_takes_episodes(talker_folder, tmp_path, algorithm):
    warmups = {"ppo": {"critic_warmup": 0}, "q_learning": {"warmup": 0}}
    align(task(talker_folder, algorithm, steps=2, learning_rate=1e-2, **warmups), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert max(r["ratio_gap"] for r in rows) < 1e-3 and max(r["logprob_gap"] for r in rows) < 1e-4
    assert abs(rows[0]["kl"]) < 1e-4 < abs(rows[1]["kl"])
    drawn = answer(load_policy(talker_folder, device="cpu"), prompts(8), ROOM, 4, "me", ("k",))
    assert rows[0]["length"] == pytest.approx(np.mean(drawn.lengths), rel=0.3)
    assert np.mean(drawn.lengths) < 0.8 * np.mean([len(t) for t in drawn.answer_tokens])


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_workers_and_micro_batches_change_nothing_but_rounding(talker_folder, algorithm):
    found = []
    for workers, size in ((1, 128), (2, 5)):
        settings = AlignConfig(prompts_per_step=6, samples_per_prompt=4, learning_rate=1e-2, micro_batch=size)
        chosen = ALGORITHMS[algorithm]
        actor = Actor.new(load_policy(talker_folder, device="cpu"), chosen.heads, chosen.targets)
        with crew(actor, load_policy(talker_folder, device="cpu"), workers) as people:
            answers, judgement = people.answers(Request(prompts(6), ROOM, 4, ("t",)), judge_words, None)
            rollout = measure(people, answers, judgement.rewards, settings, 1.0, 0.05)
            assert rollout.tokens == sum(answers.lengths)
            update(people, actor.optimiser(1e-2), chosen, chosen.prepare(rollout, settings), settings, 1.0, ("u",))
        found.append((answers.exchanges, {n: p.detach().clone() for n, p in actor.named_parameters()}))
    assert found[0][0] == found[1][0]
    for name, weight in found[0][1].items():
        torch.testing.assert_close(weight, found[1][1][name], atol=2e-4, rtol=0)


def test_the_kl_counts_own_tokens(talker, talker_folder):
    other = load_policy(talker_folder, device="cpu")
    with torch.no_grad():
        for p in other.model.parameters():
            p += 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    answers = answer(talker, prompts(), SETTINGS, 2, "me", ("k",))
    found = sequence_kl(talker, other, answers, 0.9)
    for i, own in enumerate(answers.own):
        pair = (plain_logprobs(p, answers.prompt_tokens[i], answers.answer_tokens[i], 0.9) for p in (talker, other))
        mine, theirs = (x[torch.tensor(own)].sum().item() for x in pair)
        assert found[i] == pytest.approx(mine - theirs, abs=1e-3)


def test_best_of_n_keeps_the_whole_episode(talker):
    found = best_of_n(talker, prompts(3), judge_words, SETTINGS, 4, "me", ("k",))
    every = answer(talker, prompts(3), SETTINGS, 4, "me", ("k",))
    rewards = judge_words(every.exchanges).rewards.reshape(3, 4)
    picked = [4 * i + int(row.argmax()) for i, row in enumerate(rewards)]
    assert found == every.picked(picked, range(3))
    assert Answers.joined([found, found]).lengths == 2 * found.lengths


def test_a_given_episode_is_read_back_from_its_transcript(talker):
    text = "assistant: order 12\ntool: kettle\nassistant: lamp\n  broken\nuser (simulated): hello\nassistant: thanks"
    exchange = Exchange.of(prompts(1)[0], text)
    tokens, own = retold(talker, exchange)
    runs = []
    for token, mine in zip(tokens, own, strict=True):
        if not runs or runs[-1][0] != mine:
            runs.append((mine, []))
        runs[-1][1].append(token)
    assert [decode_answer(talker, ids) for mine, ids in runs if mine] == ["order 12", "lamp\nbroken", "thanks"]
    assert all(ids[-1] == talker.end_ids[0] for mine, ids in runs if mine)
    assert next(ids for mine, ids in runs if not mine) == encode_turn(talker, Message("system", "kettle"))
    cut = replace(exchange, completion=replace(exchange.completion, finish="length"))
    assert retold(talker, cut) == (tokens[:-1], own[:-1])


@pytest.mark.parametrize("algorithm", ["dpo", "ilql"])
def test_given_episodes_teach_as_well(talker_folder, tmp_path, algorithm):
    texts = ("assistant: order\nuser (simulated): hello\nassistant: lamp", "assistant: kettle kettle kettle")
    pairs = [tuple(Labelled(Exchange.of(p, t), 1.0 - i) for i, t in enumerate(texts)) for p in prompts(8)]
    data = pairs if algorithm == "dpo" else [(x,) for pair in pairs for x in pair]
    align(task(talker_folder, algorithm, data=data, learning_rate=1e-2, watch_every=1), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert len(rows) == 3 and all(np.isfinite(r["kl"]) for r in rows)
    before, after = (load_policy(f, device="cpu") for f in (talker_folder, tmp_path / "run" / "policy"))
    better, worse = (retold(before, pairs[0][i].exchange) for i in range(2))
    start = answer(before, prompts(1), ROOM, 1, "me", ("k",)).prompt_tokens[0]
    old, new = (
        [plain_logprobs(p, start, tokens, 1.0)[torch.tensor(own)].sum() for tokens, own in (better, worse)]
        for p in (before, after)
    )
    assert new[0] - old[0] > new[1] - old[1] if algorithm == "dpo" else new[0] > old[0]


def test_an_unknown_environment_is_named(talker):
    with pytest.raises(InputError, match=r"no environment 'moon'; there is .*booking"):
        answer(talker, [Prompt.from_user("hi", {"environment": "moon"})], SETTINGS, 1, "me", ("k",))

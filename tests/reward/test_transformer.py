"""The neural reward model: its loss by hand, padding, what it learns, explains and refuses. Tiny random models."""

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaModel,
)

from trueline.config import RewardConfig, TransformerConfig
from trueline.errors import InputError, RunError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.policy.load import load_policy
from trueline.policy.tokenizer import train_tokenizer
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating
from trueline.reward.backbone import add_lora, load_backbone
from trueline.reward.embedding import embeddings
from trueline.reward.registry import load_reward
from trueline.reward.scoring import raw_scores
from trueline.reward.transformer import TransformerReward
from trueline.reward.transformer_training import reward_loss, settings_of

FILLER = "the a of order parcel today tomorrow we you it is was here soon".split()
PERSON = Annotator("Anna")
SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each of three kinds of backbone."""
    text = [" ".join(FILLER) + " clear vague gentle cruel question user assistant : 12", "退款 好 的 谢谢"] * 30
    tokenizer = train_tokenizer(text, 300, chat=False)
    torch.manual_seed(0)
    size, places = len(tokenizer), 128
    models = {
        "bert": BertModel(BertConfig(vocab_size=size, max_position_embeddings=places, **SIZE)),
        "llama": LlamaForCausalLM(LlamaConfig(vocab_size=size, max_position_embeddings=places, **SIZE)),
        "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=size, n_positions=places, n_embd=32, n_layer=2, n_head=4)),
    }
    found = {}
    for name, model in models.items():
        found[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(found[name])
        tokenizer.save_pretrained(found[name])
    return found


every_backbone = pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])


def taught(n=60, seed=0, *, pairs=True, dimensions=("quality",)):
    """Two answers to each prompt; the one with "clear" in it is preferred, and rated 5 where the other has 1."""
    rng, exchanges, ratings, comparisons = np.random.default_rng(seed), [], [], []
    for i in range(n):
        prompt = Prompt.from_user(f"question {seed} {i}")
        sides = []
        for word in ("clear", "vague"):
            said = rng.permutation([word, *rng.choice(FILLER, int(rng.integers(2, 9)))])
            sides.append(Exchange.of(prompt, " ".join(said)))
        exchanges += sides
        good, bad = (e.completion.id for e in sides)
        for d in dimensions:
            if pairs:
                comparisons.append(Comparison(good, bad, d, -2, PERSON))
            else:
                ratings += [Rating(good, d, 5, PERSON), Rating(bad, d, 1, PERSON)]
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        tuple(comparisons),
    )


def make(folder, learn_from="comparisons", dimensions=("quality",), **settings):
    given = {"epochs": 6, "batch": 8, "learning_rate": 2e-3, "warmup": 0, "max_tokens": 64, **settings}
    config = RewardConfig(
        kind="transformer", learn_from=learn_from, transformer=TransformerConfig(model=str(folder), **given)
    )
    return TransformerReward(config, dimensions)


def test_the_loss_by_hand():
    nan = np.nan
    scores = np.array([[0.2, -1.0], [1.5, 0.3], [-0.7, 2.0]])
    targets = np.array([[0.5, nan], [nan, nan], [-1.0, 1.0]])
    preferences, pairs = np.array([[3.0, nan], [-1.0, 2.0]]), np.array([[0, 1], [1, 2]])
    squared = np.mean([(0.2 - 0.5) ** 2, (-0.7 + 1.0) ** 2, (2.0 - 1.0) ** 2])
    clear = -np.log(expit((1.5 - 0.2) - 0.6 * 3 / 3))
    turned = -np.log(expit(-(-0.7 - 1.5) - 0.6 * 1 / 3))
    other = -np.log(expit((2.0 - 0.3) - 0.6 * 2 / 3))
    expected = 0.3 * squared + 0.7 * np.mean([clear, turned, other])
    given = [torch.tensor(x, dtype=torch.float64) for x in (scores, preferences, targets)]
    loss = reward_loss(given[0], torch.tensor(pairs), given[1], given[2], margin=0.6, ratings_share=0.3)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_a_label_that_is_not_there_pulls_at_nothing():
    scores = torch.zeros(2, 3, requires_grad=True)
    nan = torch.full((2, 3), torch.nan)
    preferences, targets = nan[:1].clone(), nan.clone()
    preferences[0, 1], targets[0, 2] = 1, 1.0
    reward_loss(scores, torch.tensor([[0, 1]]), preferences, targets, margin=0, ratings_share=0.5).backward()
    assert (scores.grad != 0).tolist() == [[False, True, True], [False, True, False]]


def test_the_trainers_settings_are_the_named_defaults(tmp_path):
    made = settings_of(TransformerConfig(), 100_000, tmp_path, 0)
    assert (made.num_train_epochs, made.per_device_train_batch_size, made.per_device_eval_batch_size) == (3, 16, 64)
    assert (made.warmup_steps, made.weight_decay, made.output_dir) == (500, 0.01, str(tmp_path))
    few = settings_of(TransformerConfig(), 160, tmp_path, 0)
    assert few.warmup_steps == 3  # a tenth of 30 steps


@every_backbone
def test_a_score_does_not_depend_on_the_batch(folders, kind):
    s = taught(20)
    model = make(folders[kind])
    model.fit(s)
    exchanges = [s.exchange(i) for i in s.completions]
    exchanges.append(Exchange.of(Prompt.from_user("q"), "order " * 40))
    together = model.score(exchanges).values
    alone = np.concatenate([model.score([e]).values for e in exchanges])
    np.testing.assert_allclose(together, alone, atol=1e-4)


@every_backbone
@pytest.mark.parametrize("learn_from", ["comparisons", "ratings"])
def test_it_learns_a_planted_word_and_comes_back_from_disk(folders, tmp_path, kind, learn_from):
    s = taught(80, pairs=learn_from == "comparisons")
    model = make(folders[kind], learn_from)
    report = model.fit(s)
    assert report.dimensions["quality"].accuracy > 0.9
    exchanges = [s.exchange(i) for i in s.completions]
    model.save(tmp_path / "m")
    loaded = load_reward(tmp_path / "m")
    # Within rounding: where weights lie in memory decides on some CPUs how a product is summed.
    np.testing.assert_allclose(loaded.score(exchanges).values, model.score(exchanges).values, atol=1e-6, rtol=0)
    assert np.array_equal(loaded.temperature, model.temperature, equal_nan=True)


def test_one_backbone_learns_a_head_a_dimension_with_labels_missing(folders):
    first, second = taught(60, dimensions=("quality",)), taught(60, seed=1, pairs=False, dimensions=("safety",))
    s = FeedbackSnapshot(
        {**first.prompts, **second.prompts},
        {**first.completions, **second.completions},
        second.ratings,
        first.comparisons,
    )
    model = make(folders["bert"], "either", ("quality", "safety"))
    fits = model.fit(s).dimensions
    assert fits["quality"].accuracy > 0.9 and fits["safety"].accuracy > 0.9
    assert fits["quality"].n_train < 60 and fits["safety"].n_train < 120


def test_two_fits_are_equal_and_leave_the_callers_randomness_alone(folders):
    s = taught(20)
    exchanges = [s.exchange(i) for i in s.completions]
    torch.manual_seed(5)
    random.seed(5)
    before = torch.get_rng_state(), random.getstate()
    models = [make(folders["bert"], epochs=2) for _ in range(2)]
    found = [(m.fit(s), m.score(exchanges).values)[1] for m in models]
    assert np.array_equal(*found)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]


def test_adapters_are_merged_before_saving(folders, tmp_path):
    s = taught(80)
    model = make(folders["llama"], lora_rank=4, learning_rate=1e-2)
    assert model.fit(s).dimensions["quality"].accuracy > 0.85
    model.save(tmp_path / "m")
    assert not [p.name for p in (tmp_path / "m").rglob("*") if "adapter" in p.name]
    names = load_file(tmp_path / "m" / "backbone" / "model.safetensors").keys()
    assert not [n for n in names if "lora" in n]
    exchanges = [s.exchange(i) for i in list(s.completions)[:10]]
    np.testing.assert_allclose(
        load_reward(tmp_path / "m").score(exchanges).values, model.score(exchanges).values, atol=1e-5
    )


@every_backbone
def test_the_parts_sum_to_the_score_and_the_planted_word_comes_first(folders, kind):
    s = taught(80)
    model = make(folders[kind])
    model.fit(s)
    found = []
    for word in ("clear", "vague"):
        exchange = Exchange.of(Prompt.from_user("question"), f"the order was {word} today")
        attribution, score = model.explain(exchange), model.score([exchange]).values[0, 0]
        parts = attribution.parts[0]
        assert attribution.base[0] + sum(parts.values()) == pytest.approx(score, abs=1e-9)
        assert abs(parts["rest"]) < 0.05
        found.append({("planted" if name == word else name): value for name, value in parts.items()})
    # Of one text alone the word may add nothing: a text with its words hidden may score as high as a good one.
    difference = {name: value - found[1][name] for name, value in found[0].items()}
    assert max(difference, key=lambda name: abs(difference[name])) == "planted" and difference["planted"] > 0


def test_a_text_beyond_the_limit_loses_its_beginning(folders, capsys):
    s = taught(20)
    long = Prompt((Message("user", "order " * 200),))
    answers = [Exchange.of(long, text) for text in ("it is clear", "it is vague")]
    more = Comparison(answers[0].completion.id, answers[1].completion.id, "quality", -2, PERSON)
    s = FeedbackSnapshot(
        {**s.prompts, long.id: Prompt(long.messages, {"split": "train"})},
        {**s.completions, **{e.completion.id: e.completion for e in answers}},
        (),
        (*s.comparisons, more),
    )
    model = make(folders["bert"], max_tokens=48)
    model.fit(s)
    assert "2 of" in (told := capsys.readouterr().err) and "beginning is cut" in told
    scores = model.score(answers).values[:, 0]
    assert abs(scores[0] - scores[1]) > 0.01
    other = replace(answers[0], prompt=Prompt((Message("user", "tomorrow " * 3 + "order " * 200),)))
    assert model.score([other]).values[0, 0] == pytest.approx(scores[0], abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: (f / "backbone" / "pytorch_model.bin").write_bytes(b"\x80\x04."), "never writes"),
        (lambda f: (f / "backbone" / "modeling_x.py").write_text("1/0"), "never writes"),
        (lambda f: _set(f / "backbone" / "config.json", auto_map={"AutoModel": "x.Y"}), "auto_map"),
        (lambda f: _set(f / "model.json", version=99), "version"),
        (lambda f: (f / "scale.safetensors").unlink(), "scale"),
        (lambda f: (f / "backbone" / "model.safetensors").write_bytes(b"xx"), "reward.transformer"),
        (lambda f: _drop_head(f / "backbone" / "model.safetensors"), "incomplete"),
    ],
)
def test_a_folder_that_is_hostile_or_broken_is_refused_in_one_line(folders, tmp_path, spoil, why):
    model = make(folders["bert"], epochs=1)
    model.fit(taught(20))
    model.save(tmp_path / "m")
    spoil(tmp_path / "m")
    with pytest.raises(InputError, match=why) as caught:
        load_reward(tmp_path / "m")
    assert "\n" not in str(caught.value)


def _set(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _drop_head(path):
    kept = {k: v for k, v in load_file(path).items() if not k.startswith("classifier")}
    save_file(kept, path, metadata={"format": "pt"})


def test_an_adapter_is_not_taken_for_a_model(folders, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = LlamaForCausalLM.from_pretrained(folders["llama"])
    get_peft_model(base, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(tmp_path / "adapter")
    for load in (
        lambda f: make(f).fit(taught(20)),
        load_policy,
        lambda f: embeddings(str(f), ["a text"]),
    ):
        with pytest.raises(InputError, match="adapter to another model and not a whole one") as caught:
            load(tmp_path / "adapter")
        assert "\n" not in str(caught.value)


@pytest.fixture
def roberta(folders, tmp_path):
    """One that counts places from behind its padding's id, 1: of 20 it can use 18. Its padding is another than ours."""
    size = len(load_backbone(folders["bert"], ("quality",), 64).tokenizer)
    RobertaModel(
        RobertaConfig(vocab_size=size, max_position_embeddings=20, pad_token_id=1, type_vocab_size=1, **SIZE)
    ).save_pretrained(tmp_path / "roberta")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folders["bert"] / name, tmp_path / "roberta" / name)
    return tmp_path / "roberta"


def test_roberta_reads_two_tokens_fewer_than_it_names(roberta, tmp_path):
    s = taught(20)
    model = make(roberta, epochs=1)
    model.fit(s)
    assert model.backbone_.limit == 18
    long = Exchange.of(Prompt.from_user("question"), "order parcel " * 40)
    exchanges = [*(s.exchange(i) for i in s.completions), long]
    scores = model.score(exchanges).values
    assert np.isfinite(scores).all() and model.explain(long).parts[0]
    model.save(tmp_path / "m")
    np.testing.assert_allclose(load_reward(tmp_path / "m").score(exchanges).values, scores, atol=1e-6)
    assert embeddings(str(roberta), ["order parcel " * 40, "short"]).shape == (2, 32)


def test_adapters_score_the_same_beside_the_weights_and_merged_into_them(folders):
    s = taught(20)
    exchanges = [s.exchange(i) for i in s.completions]
    for folder in folders.values():
        backbone = load_backbone(folder, ("quality", "safety"), 64)
        tokens = backbone.encode(exchanges)[0]
        plain = raw_scores(backbone, tokens, 8)
        with_adapters = add_lora(backbone.model, 4)
        generator = torch.Generator().manual_seed(3)
        for name, weights in with_adapters.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.1, generator=generator)
        apart = raw_scores(replace(backbone, model=with_adapters), tokens, 8)
        merged = raw_scores(replace(backbone, model=with_adapters.merge_and_unload()), tokens, 8)
        assert np.abs(apart - plain).max() > 1e-2, "the adapters change the scores, or there is nothing to merge"
        np.testing.assert_allclose(merged, apart, atol=1e-5)


def test_what_cannot_be_learned_from_is_refused(folders, tmp_path):
    with pytest.raises(InputError, match="no ratings to learn quality from"):
        make(folders["bert"], "ratings").fit(taught(20))
    with pytest.raises(InputError, match=r"reward\.transformer\.model is empty"):
        make("").fit(taught(20))
    with pytest.raises(InputError, match="cannot be loaded"):
        make(tmp_path / "nothing").fit(taught(20))
    with pytest.raises(RunError, match="not been fitted"):
        make(folders["bert"]).score([])


def test_a_loss_that_is_no_number_names_the_text(folders):
    with pytest.raises(RunError, match=r"learning_rate|not a number"):
        make(folders["bert"], learning_rate=1e30).fit(taught(40))

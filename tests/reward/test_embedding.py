"""A tiny random encoder as features: what it says, that it is asked once for a text, and that files can be lost."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from trueline.config import RewardConfig
from trueline.errors import InputError
from trueline.reward import embedding
from trueline.reward.embedding import MANY_FILES, EmbeddingCache, cache_folder, embeddings, encoder
from trueline.reward.linear import LinearReward
from trueline.reward.registry import load_reward

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] clear vague gentle cruel exact wrong the a of order parcel today we you . 退 款".split()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("encoder")
    (path / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    BertTokenizerFast(vocab=str(path / "vocab.txt"), model_max_length=32).save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(path)
    return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache on disk and none in memory."""
    monkeypatch.setenv("TRUELINE_CACHE", str(tmp_path / "cache"))
    embedding._cache.cache_clear()
    yield cache_folder()
    embedding._cache.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """The texts that the encoder is given, as they come."""
    found, real = [], encoder

    def counting(name):
        def embed(texts):
            found.extend(texts)
            return real(name)(texts)

        return embed

    monkeypatch.setattr(embedding, "encoder", counting)
    return found


def test_the_mean_of_the_last_hidden_states_of_length_one(folder):
    """Against transformers by hand, one text at a time, so without padding."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts = ["clear order", "a vague parcel today we you", "退款", "the"]
    expected = []
    for text in texts:
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        expected.append((mean / mean.norm()).numpy())
    found = embeddings(folder, texts)
    assert found.shape == (4, 16) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_long_text_keeps_its_end(folder):
    tail = "the order we you of a parcel today " * 4
    one, other, short = embeddings(folder, ["clear " * 50 + tail, "cruel " * 50 + tail, "clear " * 50])
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(one - short).max() > 0.01


def test_an_empty_text_has_an_embedding(folder):
    found = embeddings(folder, ["", "  ", "\n"])
    assert np.isfinite(found).all() and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_text_is_encoded_once(folder, asked, cache):
    first = embeddings(folder, ["clear", "vague", "clear"])
    assert sorted(asked) == ["clear", "vague"]
    assert np.array_equal(embeddings(folder, ["vague", "clear"]), first[[1, 0]]) and len(asked) == 2
    embedding._cache.cache_clear()  # as another process would find it
    assert np.array_equal(embeddings(folder, ["clear", "vague"]), first[:2]) and len(asked) == 2
    embeddings(folder, ["gentle", "clear"])
    assert asked[2:] == ["gentle"]
    [home] = cache.iterdir()
    assert {p.suffix for p in home.iterdir()} == {".safetensors"}


def test_another_encoder_under_the_same_name_has_another_cache(folder, asked, tmp_path):
    import shutil

    from transformers import AutoModel

    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    embeddings(folder, ["clear"])
    embeddings(str(moved), ["clear"])
    assert asked == ["clear"]  # the same files elsewhere are the same encoder
    model = AutoModel.from_pretrained(moved)
    model.embeddings.word_embeddings.weight.data += 0.1
    model.save_pretrained(moved)
    embedding._cache.cache_clear()
    embeddings(str(moved), ["clear"])
    assert asked == ["clear", "clear"]


def fake(texts):
    return np.array([[len(t), sum(map(ord, t))] for t in texts], dtype=np.float32)


def test_many_files_become_one(tmp_path):
    cache = EmbeddingCache(tmp_path)
    texts = [f"text {i}" for i in range(MANY_FILES + 3)]
    for text in texts:
        cache.get([text], fake)
    files = list(tmp_path.iterdir())
    assert len(files) <= 3

    def never(texts):
        raise AssertionError(texts)

    np.testing.assert_array_equal(EmbeddingCache(tmp_path).get(texts, never), fake(texts))
    assert sum(len(load_file(p)["keys"]) for p in files) == len(texts)


def test_a_broken_file_is_as_good_as_none(tmp_path):
    EmbeddingCache(tmp_path).get(["a", "b"], fake)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:20])
    np.testing.assert_array_equal(EmbeddingCache(tmp_path).get(["a", "b"], fake), fake(["a", "b"]))


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trueline.durable.write_file", full)
    cache = EmbeddingCache(tmp_path)
    np.testing.assert_array_equal(cache.get(["a"], fake), fake(["a"]))
    assert list(tmp_path.iterdir()) == []


def test_two_processes_share_the_folder(tmp_path):
    one, other = EmbeddingCache(tmp_path), EmbeddingCache(tmp_path)
    one.get(["a"], fake)
    asked = []
    other.get(["a", "b"], lambda texts: asked.extend(texts) or fake(texts))
    assert asked == ["b"]


def test_no_encoder_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"reward\.embedding") as caught:
        embeddings(str(tmp_path), ["a"])
    assert "\n" not in str(caught.value)


def test_a_second_fit_asks_the_encoder_nothing(tmp_path, planted, folder, asked):
    config = RewardConfig(features=("words", "embedding"), embedding=folder, max_features=300)
    model = LinearReward(config, ("quality",))
    fit = model.fit(planted(40))
    s = planted(40)
    distinct = {c.text for c in s.completions.values()} | {m.content for p in s.prompts.values() for m in p.messages}
    assert sorted(asked) == sorted(distinct)
    assert fit.dimensions["quality"].accuracy is not None
    assert model.learned_.features.names[-48:] == [
        f"embedding of {side}" for side in ("the answer", "the prompt", "both") for _ in range(16)
    ]
    asked.clear()
    embedding._cache.cache_clear()
    again = LinearReward(config, ("quality",))
    again.fit(s)
    exchanges = [s.exchange(i) for i in s.completions]
    assert np.array_equal(again.score(exchanges).values, model.score(exchanges).values)
    model.save(tmp_path / "m")
    assert np.array_equal(load_reward(tmp_path / "m").score(exchanges).values, model.score(exchanges).values)
    assert asked == []
    attribution, score = model.explain(exchanges[0]), model.score(exchanges[:1]).values[0, 0]
    assert abs(attribution.base[0] + sum(attribution.parts[0].values()) - score) < 1e-9
    assert model.score([]).values.shape == (0, 1)

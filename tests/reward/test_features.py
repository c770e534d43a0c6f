"""The feature matrix against scikit-learn, NumPy and counts made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from trueline.config import RewardConfig
from trueline.records import Exchange, Message, Prompt
from trueline.reward import relations as rel
from trueline.reward.features import RELATION_GAIN, Features, candidates
from trueline.reward.text import STYLE, characters, terms, words
from trueline.reward.vocabulary import Vocabulary

CONFIG = RewardConfig(max_features=500, relations=3)
TEXTS = [
    "We replace the kettle today, Anna!", "we refund order 4821 and order 4821", "The kettle? the KETTLE", "",
    "您好，订单4821已经退款", "订单已经寄出了", "Don't wait; we don't know", "!!!",
]  # fmt: skip


def exchange(prompt, text, finish="stop"):
    return Exchange.of(Prompt.from_user(prompt), text, finish=finish)


@pytest.fixture(scope="module")
def exchanges():
    rng = np.random.default_rng(0)
    asked = "kettle lamp sofa broken late Anna Ben 4821 9977 please help".split()
    said = "we replace refund the kettle lamp sofa today order 4821 9977 Anna Ben sorry never !".split()
    return [
        exchange(" ".join(rng.choice(asked, 5)), " ".join(rng.choice(said, rng.integers(2, 12))), finish)
        for finish in ["stop"] * 60 + ["length"] * 20
    ]


def test_words_and_terms():
    assert words("Don't PAY 42 dollars!") == ["don't", "pay", "42", "dollars", "!"]
    assert words("你好 world，3号") == ["你", "好", "world", "3", "号"]
    assert words(" ,;… ") == []
    assert terms("order 42 now") == ["order", "<number>", "now", "order <number>", "<number> now"]
    assert terms("order 42") == terms("order 9999")


def reference(texts, **more):
    return TfidfVectorizer(tokenizer=terms, token_pattern=None, lowercase=False, sublinear_tf=True, **more).fit(texts)


sentences = st.lists(st.sampled_from(["a", "b", "c", "order", "42", "7", "好", "!"]), max_size=9).map(" ".join)


@given(st.lists(sentences, min_size=1, max_size=9))
def test_tf_idf_equals_scikit_learn(texts):
    texts = [*texts, "a b", "a b 好"]
    ours, theirs = Vocabulary.fit(texts, 10_000), reference(texts, min_df=2)
    assert list(ours.terms) == list(theirs.get_feature_names_out())
    np.testing.assert_allclose(ours.idf, theirs.idf_, rtol=1e-12)
    for seen in (texts, TEXTS, ["never seen", "a a a a b 42"]):
        np.testing.assert_allclose(ours.matrix(seen).toarray(), theirs.transform(seen).toarray(), atol=1e-12)


@given(st.lists(st.text("ab 好退款!", max_size=12), min_size=1, max_size=9))
def test_character_tf_idf_equals_scikit_learn(texts):
    texts = [*texts, "ab 好", "ab 好"]
    options = {"analyzer": "char", "ngram_range": (2, 4), "sublinear_tf": True, "min_df": 2, "preprocessor": characters}
    theirs = TfidfVectorizer(**options).fit(texts)
    ours = Vocabulary.fit(texts, 10_000, unit="characters")
    assert list(ours.terms) == list(theirs.get_feature_names_out())
    for seen in (texts, TEXTS, ["never", "abab好好退款退款"]):
        np.testing.assert_allclose(ours.matrix(seen).toarray(), theirs.transform(seen).toarray(), atol=1e-12)


def test_a_term_is_never_found_across_two_texts():
    ours = Vocabulary.fit(["a b", "a b", "b a", "b a"], 10)
    assert ours.terms == ("a", "a b", "b", "b a")
    found = ours.matrix(["a", "b", "", "b", "a"]).toarray() > 0
    assert found.tolist() == [[c == x for c in ours.terms] for x in ("a", "b", "none", "b", "a")]


def test_the_vocabulary_keeps_the_terms_of_most_documents():
    texts = ["a a a a a b", "b c", "b c", "b", "a c"]
    assert Vocabulary.fit(texts, 2).terms == ("b", "c")
    assert Vocabulary.fit(texts, 10_000, min_documents=1).terms == tuple(sorted({t for x in texts for t in terms(x)}))
    assert Vocabulary.fit(["all", "words", "differ"], 10).terms == ()


def test_topic_words_are_neither_rare_nor_common():
    prompts = [f"please {word} 12" for word in ["kettle"] * 5 + ["lamp"] * 5 + ["sofa"] + ["chair"] * 40 + ["it"] * 49]
    assert rel.topic_words(prompts) == {"kettle", "lamp"}


def test_relations_count_what_is_shared():
    topics = frozenset({"kettle", "lamp", "sofa"})
    e = exchange("I am Anna, my kettle and lamp, order 4821", "Dear Anna and Ben, the sofa and kettle of 4821 and 7")
    found = dict(zip(rel.NAMES, rel.relations([e], topics)[0], strict=True))
    assert {name: found[name] for name in rel.SINGLE[:8]} == {
        "numbers from the request": 1, "numbers not in the request": 1, "no number of the request repeated": 0,
        "names from the request": 1, "names not in the request": 1,
        "topic words from the request": 1, "topic words not in the request": 1,
        "no topic word of the request repeated": 0,
    }  # fmt: skip
    different = {"dear", "anna", "and", "ben", "the", "sofa", "kettle", "of", "4821", "7"}
    assert found["shared words"] == pytest.approx(len({"anna", "and", "kettle", "4821"}) / (1 + len(different)))
    product = "numbers from the request & shared words"
    assert found[product] == found["shared words"]


def test_relations_see_what_is_missing():
    e = exchange("my kettle, order 4821", "We look into it")
    found = dict(zip(rel.NAMES, rel.relations([e], frozenset({"kettle"}))[0], strict=True))
    assert found["no number of the request repeated"] == found["no topic word of the request repeated"] == 1
    assert found["shared words"] == 0
    assert rel.relations([], frozenset()).shape == (0, len(rel.NAMES))


def column(features, exchanges, name):
    """An unscaled dense column."""
    place = features.names.index(name)
    dense = place - len(features.vocabularies["answer"].terms)
    return features.matrix(exchanges).toarray()[:, place] * features.scale[dense] + features.centre[dense]


def test_style_columns(exchanges):
    features = Features.fit(exchanges, CONFIG)
    samples = [exchange("q", "We We pay! Why?"), exchange("q", "", "length"), exchange("q", "A\n3 b. 您好。")]
    expected = {
        "length": [np.log1p(6), 0, np.log1p(5)],
        "capital letters": [3 / 16, 0, 1 / 11],
        "exclamation and question marks": [2, 0, 0],
        "repetition": [1 - 5 / 6, 0, 0],
        "unfinished": [0, 1, 0],
        "punctuation": [2 / 16, 0, 2 / 11],
        "digits": [0, 0, 1 / 11],
        "words a sentence": [np.log1p(6 / 2), 0, np.log1p(5 / 2)],
        "line breaks": [0, 0, np.log(2)],
    }
    assert tuple(expected) == STYLE
    for name, values in expected.items():
        np.testing.assert_allclose(column(features, samples, name), values, atol=1e-6)


def test_dense_columns_are_centred_and_a_block_weighs_like_one_row(exchanges):
    features = Features.fit(exchanges, CONFIG)
    x = features.matrix(exchanges).toarray()
    assert x.shape == (len(exchanges), len(features.names))
    dense = x[:, len(features.vocabularies["answer"].terms) :]
    np.testing.assert_allclose(dense.mean(0), 0, atol=1e-6)
    widths = [(len(STYLE), 1.0), (len(rel.NAMES), RELATION_GAIN), (9, 1.0)]
    expected = np.concatenate([np.full(n, gain / np.sqrt(n)) for n, gain in widths])
    spread = dense.std(0)
    assert np.all(np.isclose(spread, expected, atol=1e-6) | np.isclose(spread, 0, atol=1e-6))
    assert np.isclose(spread, expected, atol=1e-6).sum() > 20


def test_the_product_block_is_the_outer_product_of_two_projections(exchanges):
    features = Features.fit(exchanges, CONFIG)
    texts = [e.completion.text for e in exchanges]
    vt = np.linalg.svd(reference(texts, min_df=2).transform(texts).toarray(), full_matrices=False)[2]
    cosines = np.abs(np.sum(vt[:3] * features.answer_basis.T, axis=1))
    assert cosines[0] > 0.999 and np.allclose(np.linalg.norm(features.answer_basis, axis=0), 1)
    left = (
        features.vocabularies["prompt"].matrix([e.prompt.messages[0].content for e in exchanges])
        @ features.prompt_basis
    )
    right = features.vocabularies["answer"].matrix(texts) @ features.answer_basis
    raw = np.einsum("ni,nj->nij", left, right).reshape(len(exchanges), -1)
    found = features.matrix(exchanges).toarray()[:, -9:] * features.scale[-9:] + features.centre[-9:]
    np.testing.assert_allclose(found, raw, atol=1e-6)


def test_a_row_does_not_depend_on_the_others(exchanges):
    features = Features.fit(exchanges, CONFIG)
    whole = features.matrix(exchanges).toarray()
    for i in (0, 7, 70):
        assert np.array_equal(features.matrix([exchanges[i]]).toarray()[0], whole[i])
    assert np.array_equal(features.matrix(exchanges[::-1]).toarray(), whole[::-1])
    assert features.matrix([]).shape == (0, whole.shape[1])


def test_saved_features_are_the_same(tmp_path, exchanges):
    features = Features.fit(exchanges, CONFIG)
    features.save(tmp_path)
    loaded = Features.load(tmp_path)
    assert np.array_equal(loaded.matrix(exchanges).toarray(), features.matrix(exchanges).toarray())
    assert loaded.names == features.names
    assert json.loads((tmp_path / "features.json").read_text())["vocabularies"]["answer"] == list(
        features.vocabularies["answer"].terms
    )


@pytest.mark.parametrize("relations", [0, 2])
def test_few_and_strange_texts_still_give_a_matrix(tmp_path, relations):
    """Nothing occurs twice; empty answers; a prompt of several turns."""
    turns = (Message("user", "hello"), Message("assistant", "yes"), Message("user", "订单"))
    strange = [exchange("one", "alpha"), exchange("two", ""), Exchange.of(Prompt(turns), "\ud800 ﷺ 😀")]
    features = Features.fit(strange, RewardConfig(max_features=100, relations=relations))
    x = features.matrix(strange).toarray()
    assert x.shape == (3, len(features.names)) and np.isfinite(x).all()
    features.save(tmp_path)
    assert np.array_equal(Features.load(tmp_path).matrix(strange).toarray(), x)


def test_only_training_texts_shape_the_features(exchanges):
    features = Features.fit(exchanges[:40], CONFIG)
    again = Features.fit(exchanges[:40], CONFIG)
    assert np.array_equal(features.matrix(exchanges).toarray(), again.matrix(exchanges).toarray())
    other = replace(exchanges[0], completion=replace(exchanges[0].completion, text="zebra zebra"))
    assert "zebra" not in features.vocabularies["answer"].terms
    assert features.matrix([other]).toarray()[0, : len(features.vocabularies["answer"].terms)].sum() == 0


BLOCKS = ("words", "characters", "prompt", "style", "relations", "interactions")


def test_every_block_has_its_columns(exchanges):
    features = Features.fit(exchanges, CONFIG, BLOCKS)
    x, names = features.matrix(exchanges), features.names
    assert x.shape == (len(exchanges), len(names)) == (len(exchanges), len(features.block_of))
    for block in BLOCKS:
        alone = Features.fit(exchanges, CONFIG, (block,))
        own = x.columns(features.block_of == block).toarray()
        np.testing.assert_allclose(alone.matrix(exchanges).toarray(), own, atol=1e-7)
        assert alone.names == [n for n, b in zip(names, features.block_of, strict=True) if b == block]
    assert "characters: ett" in names and "request: kettle" in names


def test_the_prompt_block_tells_the_last_user_turn_from_what_was_said_before():
    turns = [
        Exchange.of(
            Prompt((Message("user", f"kettle {i}"), Message("assistant", "yes"), Message("user", "lamp"))), "ok"
        )
        for i in range(3)
    ]
    features = Features.fit([*turns, *(exchange(f"kettle {i}", "fine") for i in range(3))], CONFIG, ("prompt",))
    row = dict(zip(features.names, features.matrix(turns[:1]).toarray()[0], strict=True))
    assert row["request: lamp"] > 0 and row["asked before: kettle"] > 0 and row["told before: yes"] > 0
    assert row["request: kettle"] == 0 and "asked before: yes" not in row and "told before: kettle" not in row


def test_the_sets_to_choose_from():
    plain = ("words", "style", "relations", "interactions")
    assert candidates(RewardConfig())[0] == plain
    assert all({*plain, "embedding"} <= set(s) for s in candidates(RewardConfig(embedding="x")))
    assert candidates(RewardConfig(features=("style", "words"))) == [("words", "style")]
    within, anywhere = candidates(RewardConfig(), within_prompts=True), candidates(RewardConfig())
    assert within == [s for s in anywhere if "prompt" not in s] and within[0] == plain and len(within) > 1


def test_more_exchanges_than_a_chunk_give_the_same_rows(exchanges, monkeypatch):
    features = Features.fit(exchanges, CONFIG, BLOCKS)
    whole = features.matrix(exchanges).toarray()
    monkeypatch.setattr("trueline.reward.features.CHUNK", 7)
    assert np.array_equal(features.matrix(exchanges).toarray(), whole)

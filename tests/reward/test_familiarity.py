"""Texts unlike the training ones are flagged, those like them are not; on made-up and on real texts."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trueline.errors import InputError
from trueline.reward.familiarity import Familiarity

WORDS = "we send you the parcel order today soon here it was late and will call back about a refund".split()


def sentences(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, int(rng.integers(6, 15)))) for _ in range(n)]


@pytest.fixture(scope="module")
def fitted():
    return Familiarity.fit(sentences(400, 0))


def test_like_texts_pass_and_strange_ones_do_not(fitted):
    rng = np.random.default_rng(2)
    assert fitted.unfamiliar(sentences(300, 1)).mean() < 0.06
    gibberish = ["".join(rng.permutation(list(t))) for t in sentences(50, 3)]
    chinese = ["您好，我们已经为您办理退款。"] * 5
    assert fitted.unfamiliar(gibberish).mean() > 0.95 and fitted.unfamiliar(chinese).all()
    assert fitted.unfamiliar(["", "!!!!!!!!"]).all()


def test_it_comes_back_from_disk_for_its_own_snapshot_only(fitted, tmp_path):
    path = tmp_path / "f.safetensors"
    fitted.save(path, "abc")
    texts = sentences(20, 5)
    assert np.array_equal(Familiarity.load(path, "abc").distance(texts), fitted.distance(texts))
    assert Familiarity.load(path, "other") is None
    path.write_bytes(b"cut")
    assert Familiarity.load(path, "abc") is None


def test_too_few_texts_are_refused():
    with pytest.raises(InputError, match="too few to tell what is familiar"):
        Familiarity.fit(["one", "two"])


def test_helpdesk_answers_against_other_texts(shared_data):
    def texts(name):
        rows = [json.loads(line) for line in shared_data(name).read_text("utf-8").splitlines()[:900]]
        return [t["text"] for r in rows for t in r["turns"] if t["sender"] != "customer"]

    english, chinese = texts("helpdesk/helpdesk_en.jsonl"), texts("helpdesk/helpdesk_zh.jsonl")[:300]
    fitted = Familiarity.fit(english[:600])
    rng = np.random.default_rng(0)
    new = english[600:900]
    shuffled = ["".join(rng.permutation(list(t))) for t in new]
    for strange in (chinese, shuffled):
        label = np.repeat([0, 1], [len(new), len(strange)])
        assert roc_auc_score(label, fitted.distance([*new, *strange])) > 0.9

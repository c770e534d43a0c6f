"""The watermark: what transformers' own generation would draw, for any company; found by who has the key alone."""

import asyncio
import json
import math
import stat

import httpx
import numpy as np
import pytest
import torch
from scipy.stats import binom
from test_batching import policy as policy  # the fixture of three kinds of models
from test_batching import whole, wish
from transformers import WatermarkLogitsProcessor
from typer.testing import CliRunner

from trueline.errors import InputError
from trueline.policy.chat import encode_prompt
from trueline.records import Prompt
from trueline.serving.answers import Served
from trueline.serving.batching import Batcher
from trueline.serving.watermark import SCHEME, Marker, Watermark, detect, new_key, read_key

MARK = Watermark(key=1234567890123457)
OTHER = Watermark(key=987654321)


def drawn(model, wishes, watermark=MARK, slots=4):
    """(text, tokens) of each, the tokens as the model drew them."""

    async def work():
        return [await whole(t) for t in batcher.ask(wishes)]

    batcher = Batcher(model, slots, watermark)
    batcher.start()
    try:
        found = asyncio.run(asyncio.wait_for(work(), 60))
    finally:
        batcher.close()
    return [(text, [d.token for p in pieces for d in p.drawn]) for text, _, pieces in found]


def test_the_likeliest_tokens_are_those_of_transformers_own_generation(policy):
    ids = encode_prompt(policy, Prompt.from_user("order 12 kettle"), 64)
    with torch.no_grad():
        whole_text = policy.model.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=20, watermarking_config=MARK.config,
            eos_token_id=list(policy.end_ids), pad_token_id=policy.pad_id,
        )[0].tolist()  # fmt: skip
    [(_, tokens)] = drawn(policy, [wish(policy, "order 12 kettle", ("w", 1), temperature=0.0, top_logprobs=0)])
    expected = [t for t in whole_text[len(ids) :] if t not in policy.end_ids]
    assert tokens == expected
    [(_, unmarked)] = drawn(policy, [wish(policy, "order 12 kettle", ("w", 1), temperature=0.0, top_logprobs=0)], None)
    assert unmarked != tokens


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_green_tokens_are_likelier_by_the_bias_at_any_temperature(tiny, temperature):
    """p' = p e^b / (1 + p (e^b - 1)) of all green tokens together, p without the mark."""
    text = "order 12 kettle"
    ids = encode_prompt(tiny, Prompt.from_user(text), 64)
    with torch.no_grad():
        p = (tiny.model(torch.tensor([ids])).logits[0, -1].double() / temperature).softmax(-1)
    green = Marker(MARK, len(p), torch.device("cpu")).added(ids[-1:])[0] > 0
    n, share = 1000, float(p[green].sum())
    expected = share * math.exp(2) / (1 + share * (math.exp(2) - 1))
    wishes = [wish(tiny, text, ("g", i), temperature=temperature, max_new_tokens=1, top_logprobs=0) for i in range(500)]
    firsts = [
        row[0] for part in range(n // 500) for _, row in drawn(tiny, [w_of(w, part) for w in wishes], slots=16) if row
    ]
    hits = int(green[firsts].sum()) + (n - len(firsts)) * bool(green[tiny.end_ids[0]])
    assert abs(hits / n - expected) < 4 * math.sqrt(expected * (1 - expected) / n) and abs(expected - share) > 0.1


def w_of(asked, part):
    from dataclasses import replace

    return replace(asked, key=(*asked.key, part))


def test_an_answer_does_not_depend_on_its_company(policy):
    texts = ["hello we will send", "order 12 34 kettle broken anna", "a", "thanks ben"]
    wishes = [wish(policy, t, ("c", i), temperature=0.7 + 0.1 * (i % 2), top_logprobs=0) for i, t in enumerate(texts)]
    together = drawn(policy, wishes)
    assert together == [drawn(policy, [w])[0] for w in wishes]
    assert together == drawn(policy, wishes, slots=2)


def test_the_log_probabilities_that_are_told_are_the_models_own(tiny):
    """A mark in them would give the key away."""
    asked = wish(tiny, "order 12 kettle", ("l", 1), top_logprobs=0, max_new_tokens=6)

    async def work():
        return await whole(batcher.ask([asked])[0])

    batcher = Batcher(tiny, 4, MARK)
    batcher.start()
    try:
        _, _, pieces = asyncio.run(work())
    finally:
        batcher.close()
    told = [d for p in pieces for d in p.drawn]
    ids = [*asked.prompt, *(d.token for d in told)]
    with torch.no_grad():
        own = tiny.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    for i, d in enumerate(told):
        assert d.logprob == pytest.approx(float(own[len(asked.prompt) - 1 + i, d.token]), abs=1e-4)


def test_who_has_the_key_finds_it_and_nobody_else(tiny):
    wishes = [wish(tiny, f"order {i}", ("d", i), max_new_tokens=150, top_logprobs=0) for i in range(6)]
    size = tiny.model.config.vocab_size
    marked, unmarked = ([ids for _, ids in drawn(tiny, wishes, m) if len(ids) > 60][:2] for m in (MARK, None))
    assert len(marked) == len(unmarked) == 2
    found = [detect(MARK, ids, size) for ids in marked]
    assert all(f.p < 1e-6 and f.z > 5 for f in found)
    others = [*(detect(OTHER, ids, size) for ids in marked), *(detect(MARK, ids, size) for ids in unmarked)]
    assert all(f.p > 1e-3 for f in others)


def test_counts_and_p_are_those_of_the_definition():
    ids, size = [5, 9, 5, 9, 7, 200, 5, 9], 300
    lists = WatermarkLogitsProcessor(size, "cpu", hashing_key=MARK.key)
    pairs = set(zip(ids, ids[1:], strict=False))
    green = sum(b in lists._get_greenlist_ids(torch.tensor([a])).tolist() for a, b in pairs)
    found = detect(MARK, ids, size)
    assert (found.tokens, found.green) == (len(pairs), green) and len(pairs) == 5
    assert found.z == pytest.approx((green - 0.25 * 5) / math.sqrt(5 * 0.25 * 0.75))
    assert found.p == pytest.approx(1 - binom.cdf(green - 1, 5, 0.25))
    with pytest.raises(InputError, match="fewer than two tokens"):
        detect(MARK, [3], size)


def test_in_random_text_p_is_no_smaller_than_chance_allows():
    rng = np.random.default_rng(0)
    p = np.array([detect(MARK, rng.integers(0, 400, 40).tolist(), 400).p for _ in range(80)])
    for level in (0.05, 0.2):
        most = level + 3 * math.sqrt(level * (1 - level) / len(p))
        assert (p < level).mean() <= most


def test_green_lists_are_forgotten_and_drawn_again_alike(monkeypatch):
    monkeypatch.setattr("trueline.serving.watermark.KEPT_BYTES", 1)
    marker = Marker(MARK, 64, torch.device("cpu"))
    before = marker.added(range(40))
    assert len(marker.kept) == 16
    assert torch.equal(marker.added(range(40)), before)
    assert (before.sum(-1) == 2.0 * 16).all()


def test_a_key_is_its_owners_and_never_shown(tmp_path):
    path = tmp_path / "new" / "key"
    new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    mark, number = read_key(path), json.loads(path.read_text())["key"]
    assert mark.key == number and str(number) not in repr(mark) and number % 2
    with pytest.raises(InputError, match="exists already"):
        new_key(path)
    path.chmod(0o640)
    with pytest.raises(InputError, match="others on this machine may read the key; `chmod 600"):
        read_key(path)
    path.chmod(0o600)
    for text in ("", "{}", '{"scheme": "x", "key": 5, "ratio": 0.25, "bias": 2}', f'{{"key": "{number}"'):
        path.write_text(text)
        with pytest.raises(InputError, match="is not a key") as error:
            read_key(path)
        assert str(number) not in str(error.value)
    with pytest.raises(InputError, match="no such key; make one"):
        read_key(tmp_path / "none")


@pytest.mark.parametrize("mark", [MARK, None])
def test_models_and_headers_say_that_there_is_one(serve, tiny, mark):
    running = serve(Served.of("tiny", tiny, watermark=mark))
    said = httpx.get(f"{running.url}/v1/models").json()["data"][0]["watermark"]
    assert said == (SCHEME if mark else None)
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "order 12"}], "max_tokens": 4}
    for answer in (httpx.post(f"{running.url}/v1/chat/completions", json=asked), httpx.get(f"{running.url}/health")):
        assert answer.headers.get("x-trueline-watermark") == ("on" if mark else None)
        assert str(MARK.key) not in answer.text + str(answer.headers)


def test_the_command_looks_into_a_text_and_a_file(tiny, tiny_folder, tmp_path):
    from trueline.cli.main import app

    def run(*words):
        done = CliRunner().invoke(app, ["watermark", *map(str, words)])
        return done.output if done.exception is None else str(done.exception)

    key = tmp_path / "key"
    assert "a new key" in run("new-key", key)
    mark = read_key(key)
    texts = [
        t
        for t, ids in drawn(
            tiny, [wish(tiny, f"order {i}", ("d", i), max_new_tokens=180, top_logprobs=0) for i in range(6)], mark
        )
        if len(ids) > 100
    ]
    (tmp_path / "said.txt").write_text(texts[0])
    for told in (texts[0], tmp_path / "said.txt"):
        found = json.loads(run("detect", told, "--key", key, "--model", tiny_folder, "--json"))
        assert found["marked"] and found["p"] < 1e-3 and found["z"] > 3
    assert "no sign of this key's mark" in run(
        "detect", "hello we will send a new one today", "--key", key, "--model", tiny_folder
    )
    assert "under 50 tokens" in run("detect", "hello", "--key", key, "--model", tiny_folder)
    assert str(mark.key) not in run("detect", "hello we", "--key", key, "--model", tiny_folder)
    assert "name a run or model folder" in run("detect", "hello", "--key", key, "--model", tmp_path / "nothing")

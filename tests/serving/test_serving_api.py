"""The API over a real socket: OpenAI's form, what is refused, who may ask, what becomes of those who leave."""

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch

from trueline.errors import InputError
from trueline.evaluate.judges.rules import Rule
from trueline.policy.chat import encode_prompt
from trueline.policy.load import Policy
from trueline.policy.scoring import make_batch, score
from trueline.records import Prompt
from trueline.reward.border import Border
from trueline.serving.gate import REFUSAL, Bad, Gate
from trueline.serving.keys import Keys, Rate, new_key

HELLO = [{"role": "user", "content": "hello order lamp"}]
NO_Z = Rule(name="no zebra", must_not_have=("zebra",), unsafe=True)


def body(**changes):
    return {"model": "tiny", "messages": HELLO, "max_tokens": 16, "seed": 7, **changes}


def post(running, value, path="/v1/chat/completions", **more):
    return httpx.post(running.url + path, json=value, timeout=60, **more)


def events(response_lines):
    """What a stream says, without its end."""
    found = [line.removeprefix("data: ") for line in response_lines if line]
    assert found[-1] == "[DONE]"
    return [json.loads(line) for line in found[:-1]]


def streamed(running, value, **more):
    with httpx.stream("POST", running.url + "/v1/chat/completions", json=value | {"stream": True}, **more) as r:
        assert r.status_code == 200 and r.headers["content-type"].startswith("text/event-stream")
        return events(r.iter_lines())


def test_an_answer_and_its_stream_are_the_same(serve, served):
    running = serve(served())
    for settings in ({}, {"n": 3, "temperature": 0.8, "top_p": 0.9}, {"logprobs": True, "top_logprobs": 2}):
        whole = post(running, body(**settings)).json()
        parts = streamed(running, body(**settings, stream_options={"include_usage": True}))
        assert whole["object"] == "chat.completion" and parts[0]["object"] == "chat.completion.chunk"
        assert len({p["id"] for p in parts}) == 1
        *chunks, last = parts
        assert last["choices"] == [] and last["usage"] == whole["usage"]
        assert all(c["usage"] is None for c in chunks)
        for choice in whole["choices"]:
            mine = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
            assert mine[0]["delta"]["role"] == "assistant"
            assert "".join(c["delta"].get("content", "") for c in mine) == choice["message"]["content"]
            assert [c["finish_reason"] for c in mine if c["finish_reason"]] == [choice["finish_reason"]]
            told = [t for c in mine if c["logprobs"] for t in c["logprobs"]["content"]]
            assert told == (choice["logprobs"] or {"content": []})["content"]
            assert choice["finish_reason"] in ("stop", "length")


def test_a_seed_repeats_an_answer_whatever_is_served_beside_it(serve, served):
    running = serve(served())
    alone = post(running, body(n=2, temperature=1.3)).json()["choices"]
    with ThreadPoolExecutor(8) as pool:
        seeds = (7, 8, 7, 9, 10, 7, 11, 12)
        work = [pool.submit(post, running, body(n=2, temperature=1.3, seed=s)) for s in seeds]
        crowd = [w.result().json()["choices"] for w in work]
    assert crowd[0] == crowd[2] == crowd[5] == alone
    assert crowd[1] != alone


def test_usage_counts_tokens_and_logprobs_are_the_policys(serve, served, tiny):
    running = serve(served())
    ids = encode_prompt(tiny, Prompt.from_user(HELLO[0]["content"]), 99)
    spelled = {tiny.tokenizer.decode([i]): i for i in range(len(tiny.tokenizer))}
    compared = 0
    for seed in range(8):
        found = post(running, body(logprobs=True, top_logprobs=3, temperature=0.5, seed=seed)).json()
        [choice], usage = found["choices"], found["usage"]
        content = choice["logprobs"]["content"] if choice["logprobs"] else []
        assert usage["prompt_tokens"] == len(ids)
        assert usage["completion_tokens"] == len(content) + (choice["finish_reason"] == "stop")
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        whole = content[: next((i for i, t in enumerate(content) if t["bytes"] is None), len(content))]
        assert choice["message"]["content"].startswith("".join(t["token"] for t in whole))
        if whole:
            batch = make_batch([ids], [[spelled[t["token"]] for t in whole]], tiny.pad_id)
            with torch.no_grad():
                expected = score(tiny.model, batch, 1.0).logprobs[0]
            np.testing.assert_allclose([t["logprob"] for t in whole], expected, atol=1e-4)
        compared += len(whole)
    assert compared > 10


def test_texts_go_on_without_a_chat(serve, served):
    found = post(serve(served()), {"model": "tiny", "prompt": "hello", "max_tokens": 5, "n": 2}, "/v1/completions")
    assert found.json()["object"] == "text_completion"
    assert len(found.json()["choices"]) == 2 and all(isinstance(c["text"], str) for c in found.json()["choices"])


@pytest.mark.parametrize(
    ("change", "status", "param", "code"),
    [
        ({"model": "gpt-4"}, 404, "model", "model_not_found"),
        ({"messages": []}, 400, "messages", "invalid_value"),
        ({"messages": [{"role": "king", "content": "a"}]}, 400, "messages.0.role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "messages.0.content", "invalid_value"),
        ({"messages": [{"role": "user", "content": "a " * 3000}]}, 400, "messages", "context_length_exceeded"),
        ({"max_tokens": 10_000}, 400, "messages", "context_length_exceeded"),
        ({"max_tokens": 0}, 400, "max_tokens", "invalid_value"),
        ({"temperature": -1}, 400, "temperature", "invalid_value"),
        ({"temperature": "hot"}, 400, "temperature", "invalid_value"),
        ({"top_p": 0}, 400, "top_p", "invalid_value"),
        ({"n": 1000}, 400, "n", "invalid_value"),
        ({"stop": ["a", ""]}, 400, "stop.1", "invalid_value"),
        ({"seed": 2**70}, 400, "seed", "invalid_value"),
        ({"top_logprobs": 3}, 400, "top_logprobs", "invalid_value"),
        ({"temprature": 1}, 400, "temprature", "unknown_parameter"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format", "unsupported_parameter"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(serve, served, change, status, param, code):
    found = post(serve(served()), body(**change))
    error = found.json()["error"]
    assert found.status_code == status and set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert error["message"]


def test_what_clients_send_without_meaning_it_is_taken(serve, served):
    """Neutral values, nulls, parts of content, and an answer sent back as it came."""
    running = serve(served())
    answer = post(running, body()).json()["choices"][0]["message"]
    turns = [{"role": "developer", "content": "be kind"}, *HELLO, answer, {"role": "user", "content": [
        {"type": "text", "text": "and "}, {"type": "text", "text": "then"}]}]  # fmt: skip
    found = post(running, body(messages=turns, frequency_penalty=0.0, presence_penalty=0, logit_bias={}, stop=None,
                               response_format={"type": "text"}, tools=None, user="u"))  # fmt: skip
    assert found.status_code == 200, found.text


FIELDS = (
    "model messages max_tokens seed n top_p stop logprobs top_logprobs stream stream_options logit_bias tools "
    "response_format max_completion_tokens temperature prompt x-trueline .. \ud7ff"
).split()
ODD = (
    None, True, -1, 0, 1e308, 2**80, "", "x" * 5000, "\x00", "../../etc/passwd", [], {}, [[]], [None], "NaN", -0.0,
    {"a": {"b": []}}, [1] * 50, [{"role": "user"}], ["?"],
)  # fmt: skip
BROKEN = (b"[" * 50_000, b"{}", b"null", b"", b"\xff\xfe", b'{"model": NaN}', b'"\\ud800"')
TYPES = (b"application/json", b"text/plain", b"", b"application/json; x=\xff")
METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "POST")
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
PLACES = (
    "/",
    "/v1/models/..%2f..%2fetc%2fpasswd",
    "/v1/models/%00",
    "/v1/engines",
    CHAT,
    "/v1/models/" + "a" * 3000,
    "/%ff",
)


def malformed(i, rng):
    """Method, path, content, type: wrong values, broken bytes, wrong turns, no bodies, wrong methods and paths."""
    odd = ODD[rng.integers(len(ODD))]
    if i % 5 == 0:
        return "POST", CHAT, json.dumps(body(max_tokens=1, **{str(rng.choice(FIELDS[4:])): odd})), TYPES[0]
    if i % 5 == 1:
        cut = bytearray(json.dumps(body(max_tokens=1)).encode())
        for at in rng.integers(0, len(cut), 3):
            cut[at] = rng.integers(256)
        return "POST", CHAT, bytes(cut[: rng.integers(1, len(cut) + 1)]), TYPES[0]
    if i % 5 == 2:
        turn = {str(rng.choice(["role", "content", "name", "x"])): odd}
        return "POST", CHAT, json.dumps(body(max_tokens=1) | {"messages": [HELLO[0] | turn]}), TYPES[0]
    if i % 5 == 3:
        field = {str(rng.choice(FIELDS[:4])): odd}
        content = BROKEN[i % 7] if i % 2 else json.dumps(body(max_tokens=1) | field)
        return "POST", (CHAT, TEXT)[i % 3 == 0], content, TYPES[rng.integers(4)]
    return str(rng.choice(METHODS)), str(rng.choice(PLACES)), b"", b""


def test_no_malformed_request_makes_it_fall_over_or_tell_a_path(serve, served, tiny_folder):
    rng = np.random.default_rng(3)
    running = serve(served())
    statuses = []
    with httpx.Client(base_url=running.url, timeout=60) as client:
        for i in range(1000):
            method, path, content, kind = malformed(i, rng)
            found = client.request(method, path, content=content, headers={b"content-type": kind} if kind else {})
            statuses.append(found.status_code)
            assert found.status_code < 500, (method, path, content)
            for told in (str(tiny_folder), "site-packages", "/src/", "Traceback", ".py"):
                assert told not in found.text, found.text
            if found.status_code >= 400 and method != "HEAD":
                assert set(found.json()["error"]) == {"message", "type", "param", "code"}
    assert sum(s >= 400 for s in statuses) > 600
    assert post(running, body()).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_who_disconnects_frees_the_place(serve, served, stream, monkeypatch):
    """An answer that would go on for 200 tokens, slowed to 4 s, is gone from the batch soon after its client."""
    monkeypatch.setattr(Policy, "end_ids", ())
    model = served()
    right = model.batcher.slots.step
    monkeypatch.setattr(model.batcher.slots, "step", lambda *a: (time.sleep(0.02), right(*a))[1])
    running = serve(model)
    asked = {"json": body(max_tokens=200, stream=stream)}
    if stream:
        with httpx.stream("POST", running.url + "/v1/chat/completions", **asked) as r:
            next(r.iter_lines())
            assert running.busy == 1
    else:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(running.url + "/v1/chat/completions", timeout=0.5, **asked)
    for _ in range(50):
        time.sleep(0.02)
        if not running.busy:
            break
    assert not running.busy


def test_keys_are_asked_for_kept_as_hashes_and_end_when_their_line_does(serve, served, tmp_path):
    path = tmp_path / "keys"
    one, two = new_key(path, "one app"), new_key(path, "another")
    assert one not in path.read_text() and path.stat().st_mode & 0o077 == 0
    running = serve(served(), keys=Keys(path), rate=Rate(3))

    def ask(key):
        return httpx.get(running.url + "/v1/models", headers={"authorization": f"Bearer {key}"} if key else {})

    for wrong in ("", "tl-no", one + "x"):
        found = ask(wrong)
        assert found.status_code == 401 and found.json()["error"]["code"] == "invalid_api_key"
    assert [ask(one).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert int(ask(one).headers["retry-after"]) in range(1, 62)
    assert ask(two).status_code == 200
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "another" not in line))
    assert ask(two).status_code == 401


def test_a_rate_is_of_a_minute_and_of_each_key():
    now = [0.0]
    rate = Rate(2, clock=lambda: now[0])
    assert [rate.wait(k) for k in "aab"] == [0, 0, 0]
    assert rate.wait("a") == 60
    now[0] = 45
    assert rate.wait("a") == 15
    now[0] = 60.5
    assert rate.wait("a") == 0


def test_another_host_is_refused_and_so_is_a_plain_form(serve, served):
    running = serve(served(), hosts=("127.0.0.1",))
    assert httpx.get(running.url + "/v1/models", headers={"host": "evil.example"}).status_code == 421
    assert httpx.get(running.url + "/v1/models").status_code == 200
    assert httpx.post(running.url + "/v1/chat/completions", content=json.dumps(body())).status_code == 415


def test_the_best_of_several_is_given_and_explained(serve, served, best_of):
    """Drawn are the same four as one by one; the reward of each is computed here again."""
    running = serve(served(rewards=best_of(4)))
    found = post(running, body(**{"x-trueline": True}, n=2)).json()
    assert len(found["choices"]) == 2
    for choice, why in zip(found["choices"], found["x-trueline"]["choices"], strict=True):
        rewards = [c["reward"] for c in why["candidates"]]
        assert len(rewards) == 4 and why["best"] == int(np.argmax(rewards)) and len(set(rewards)) > 1
        text = choice["message"]["content"].strip()
        quality, safety = (sum(c in k for c in text) / max(1, len(text)) for k in ("aeiou", "abcdefghijklm"))
        expected = quality + 0.5 * safety - 0.25 * (choice["finish_reason"] == "length")
        best = why["candidates"][why["best"]]
        assert math.isclose(best["reward"], expected)
        assert math.isclose(best["scores"]["quality"]["score"], quality)
        assert math.isclose(best["scores"]["quality"]["std"], len(text) / 100)
    assert "x-trueline" not in post(running, body()).json()
    by_header = post(running, body(), headers={"x-trueline": "explain"}).json()["x-trueline"]
    assert by_header["seed"] == 7 and by_header["reward"] == "vowels"
    assert streamed(running, body(**{"x-trueline": True}, n=2))[-1]["x-trueline"] == found["x-trueline"]


def test_the_gate_refuses_requests_and_answers(serve, served, vowels):
    border = Border("quality", -30.0, 3.0)  # bad where less than .1 are vowels
    running = serve(served(gate=Gate.of([NO_Z], Bad(vowels, border, 0.5))))
    asked = body(messages=[{"role": "user", "content": "A Zebra!"}], **{"x-trueline": True})
    found = post(running, asked)
    assert found.headers["x-trueline-gate"] == "on"
    [choice] = found.json()["choices"]
    assert choice["message"]["content"] == REFUSAL and choice["finish_reason"] == "content_filter"
    assert found.json()["x-trueline"]["choices"][0]["refused_for"] == ["rule: no zebra"]
    last = [c["choices"][0] for c in streamed(running, asked) if c["choices"]]
    assert "".join(c["delta"].get("content", "") for c in last) == REFUSAL
    assert last[-1]["finish_reason"] == "content_filter"
    refused = 0
    for seed in range(12):
        found = post(running, body(seed=seed, **{"x-trueline": True}, max_tokens=30)).json()
        [choice], [why] = found["choices"], found["x-trueline"]["choices"]
        p = why["candidates"][0]["p_bad"]
        assert (choice["finish_reason"] == "content_filter") == (p > 0.5) == (choice["message"]["content"] == REFUSAL)
        if p <= 0.5:
            text = choice["message"]["content"].strip()
            share = sum(c in "aeiou" for c in text) / max(1, len(text))
            assert math.isclose(p, 1 / (1 + math.exp(30 * share - 3)))
        refused += p > 0.5
    assert 0 < refused < 12


def test_a_gated_stream_says_nothing_before_the_whole_was_judged(serve, served, tiny):
    """The very first letters would be harmless; the rule is broken at the end."""
    long = Rule(name="short", most_characters=10, unsafe=True)
    parts = streamed(serve(served(gate=Gate.of([long], None))), body(max_tokens=40))
    text = "".join(p["choices"][0]["delta"].get("content", "") for p in parts)
    assert text == REFUSAL or len(text) <= 10


def test_a_gate_that_cannot_judge_refuses(serve, served, vowels):
    """A score that is no number, and a border of a dimension that the model lacks."""
    for border in (Border("quality", math.nan, 0.0), Border("unknown", -1.0, 0.0)):
        running = serve(served(gate=Gate.of([], Bad(vowels, border, 0.5))))
        assert post(running, body()).json()["choices"][0]["finish_reason"] == "content_filter"


def test_what_a_rule_wants_said_is_not_wanted_of_requests():
    polite = Rule(name="polite", must_have=("sorry",), must_not_have=("zebra",), unsafe=True)
    late = Rule(name="late", prompt_matches="broken", must_not_have=("lamp",), unsafe=True)
    gate = Gate.of([polite, late, Rule(name="not unsafe", must_not_have=("lamp",))], None)
    assert gate.request(Prompt.from_user("my lamp is broken")) == ()
    assert gate.request(Prompt.from_user("my zebra is broken")) == ("rule: polite",)


def test_a_gate_that_would_refuse_nothing_is_no_gate():
    with pytest.raises(InputError, match="unsafe = true"):
        Gate.of([Rule(name="a", must_have=("b",))], None)


def test_a_missing_gate_is_said_everywhere(serve, served):
    running = serve(served())
    listed = httpx.get(running.url + "/v1/models")
    assert [(m["id"], m["gate"]) for m in listed.json()["data"]] == [("tiny", "off")]
    assert httpx.get(running.url + "/v1/models/tiny").json()["object"] == "model"
    assert httpx.get(running.url + "/v1/models/none").status_code == 404
    for found in (listed, post(running, body()), post(running, body(model="x")), httpx.get(running.url + "/nowhere")):
        assert found.headers["x-trueline-gate"] == "off"


def test_a_model_that_fails_says_so_and_serves_the_next(serve, served, monkeypatch):
    model = served()
    running = serve(model)
    right = model.batcher.slots.step
    monkeypatch.setattr(model.batcher.slots, "step", lambda *_: 1 / 0)
    found = post(running, body())
    assert found.status_code == 500 and found.json()["error"]["type"] == "server_error"
    assert "zero" not in found.text
    monkeypatch.setattr(model.batcher.slots, "step", right)
    assert post(running, body()).status_code == 200


def test_the_official_client_is_served(serve, served, best_of):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=serve(served(rewards=best_of(2))).url + "/v1", api_key="none")
    found = client.chat.completions.create(**body())
    pieces = client.chat.completions.create(**body(), stream=True)
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == found.choices[0].message.content
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**body(model="x"))

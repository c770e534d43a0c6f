"""The chat page's routes over a real socket: who may ask, what is kept of what is said, and what is not."""

import json
import shutil
from dataclasses import replace

import httpx
import pytest
import sqlalchemy as sa

from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.evaluate.judges.rules import Rule
from trueline.feedback import tables as t
from trueline.feedback.store import FeedbackStore
from trueline.feedback.users import is_user
from trueline.serving.answers import Served
from trueline.serving.api import Server
from trueline.serving.chat import Page, routes
from trueline.serving.chat_models import base_of, columns
from trueline.serving.feedback import A_MINUTE, Keeping
from trueline.serving.gate import REFUSAL, Gate
from trueline.serving.keys import Keys, Rate, new_key
from trueline.serving.opening import Wanted, open_models
from trueline.serving.texts import Text

HELLO = [{"role": "user", "content": "hello order lamp"}]
NEW, OLD = "shop-7", "start-7"
BROWSER = "0123456789abcdef" * 2
NO_ZEBRA = Gate((Rule(name="no zebra", must_not_have=("zebra",), unsafe=True),))


@pytest.fixture
def kept(tmp_path):
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as opened:
        yield opened


@pytest.fixture
def pages(serve, tiny, kept):
    """pages(gate=, store=, rate=, **settings of the server): a server whose page shows two models."""

    def start(gate=None, store=kept, rate=None, **settings):
        models = [Served.of(name, tiny, gate) for name in (NEW, OLD)]
        server = Server({m.name: m for m in models}, **settings)
        keeping = None if store is None else Keeping(store, ("quality", "safety"), *([rate] if rate else []))
        return serve(*models, **settings, extra=routes(server, Page((NEW, OLD), 12, keeping)))

    return start


def ask(running, model, messages=HELLO, **headers):
    """The answer's text, and how it ended."""
    body = {"model": model, "messages": messages}
    with httpx.stream("POST", running.url + "/chat/answers", json=body, headers=headers, timeout=60) as r:
        assert r.status_code == 200, r.read()
        events = [json.loads(line.removeprefix("data: ")) for line in r.iter_lines() if line]
    return "".join(e.get("text", "") for e in events), events[-1]


def answers(running, *thumbs, **headers):
    """Both models' answers as feedback names them."""
    found = []
    for model, thumb in zip((NEW, OLD), thumbs, strict=False):
        text, end = ask(running, model, **headers)
        found.append({"model": model, "text": text, "finish": end["finish"], "seal": end["seal"], "thumb": thumb})
    return found


def give(running, said, headers=None, **changes):
    body = {"consent": True, "messages": HELLO, "answers": said, "browser": BROWSER, **changes}
    return httpx.post(running.url + "/chat/feedback", json=body, headers=headers, timeout=30)


def labels(store):
    found = store.snapshot()
    texts = {i: c.text for i, c in found.completions.items()}
    rated = {(texts[r.completion_id], r.dimension, r.value) for r in found.ratings}
    compared = []
    for c in found.comparisons:
        better, worse = (c.b_id, c.a_id) if c.preference > 0 else (c.a_id, c.b_id)
        compared.append((texts[better], texts[worse], abs(c.preference), c.both_bad))
    return rated, compared


def test_the_page_is_open_to_all_and_tells_nothing_of_what_is_served(pages, tmp_path):
    keys = tmp_path / "api_keys"
    secret = new_key(keys, "a shop, Berlin")
    running = pages(keys=Keys(keys))
    for path in ("/", "/chat"):
        page = httpx.get(running.url + path)
        assert page.status_code == 200 and NEW not in page.text and "sign" in page.text.lower()
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
    assert "对话" in httpx.get(running.url, headers={"accept-language": "zh-CN"}).text
    assert httpx.get(running.url + "/static/talk.js").status_code == 200
    assert httpx.get(running.url + "/static/base.css").status_code == 200
    assert httpx.get(running.url + "/static/../chat.py").status_code == 404
    assert httpx.get(running.url + "/chat/setup").status_code == 401
    known = httpx.get(running.url + "/chat/setup", headers={"authorization": f"Bearer {secret}"}).json()
    assert [c["model"] for c in known["columns"]] == [NEW, OLD] and known["who"] == "user:a shop Berlin"
    assert [c["role"] for c in known["columns"]] == ["aligned", "base"]
    body = {"model": NEW, "messages": HELLO}
    assert httpx.post(running.url + "/chat/answers", json=body).status_code == 401
    assert give(running, answers(running, 1, authorization=f"Bearer {secret}")).status_code == 401


def test_other_sites_and_other_names_of_the_machine_are_refused(pages, kept):
    running = pages(hosts=("127.0.0.1",))
    assert httpx.get(running.url, headers={"host": "evil.example"}).status_code == 421
    said = answers(running, 1, -1)
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert give(running, said, headers=headers).status_code == 403
        body = {"model": NEW, "messages": HELLO}
        assert httpx.post(running.url + "/chat/answers", json=body, headers=headers).status_code == 403
        assert httpx.post(running.url + "/language", data={"language": "zh"}, headers=headers).status_code == 403
    assert httpx.post(running.url + "/chat/feedback", content="{}").status_code == 415
    assert labels(kept) == (set(), [])
    chosen = httpx.post(running.url + "/language", data={"language": "zh"}, headers={"origin": running.url})
    assert chosen.status_code == 303 and "zh" in chosen.headers["set-cookie"]


def test_without_consent_nothing_is_kept(pages, kept):
    running = pages()
    said = answers(running, 1, -1)
    for value in (False, None, "true", 1):
        assert give(running, said, consent=value).status_code in (400, 403)
    assert kept.counts() == dict.fromkeys(t.TEXTS, 0)


def test_thumbs_become_labels_of_a_user_who_can_take_them_back(pages, kept):
    running = pages()
    said = answers(running, 1, -1)
    new, old = (a["text"].strip() for a in said)
    assert new != old
    first = give(running, said).json()
    assert first["labels"] == 3
    assert labels(kept) == ({(new, "quality", 4), (old, "quality", 2)}, [(new, old, 2, False)])
    [person] = kept.snapshot().annotators
    assert is_user(person) and not person.simulated and person.name == first["who"] and BROWSER not in person.name
    assert {c.source for c in kept.snapshot().completions.values()} == {f"served:{NEW}", f"served:{OLD}"}
    give(running, [said[0] | {"thumb": 0}, said[1]])
    assert labels(kept) == ({(old, "quality", 2)}, [(new, old, 1, False)])
    give(running, [said[0] | {"thumb": -1}, said[1]])
    assert labels(kept)[1][0][2:] == (0, True)
    give(running, [a | {"thumb": 0} for a in said])
    assert labels(kept) == (set(), [])
    give(running, said[:1], dimension="safety")
    assert labels(kept) == ({(new, "safety", 4)}, [])


def test_a_correction_is_an_answer_that_is_preferred_and_told_as_a_persons(pages, kept):
    running = pages()
    [said] = answers(running, -1)
    corrected = give(running, [said | {"correction": "write to anna@example.org"}])
    text = "write to [email]"  # personal data does not get into the store
    assert labels(kept)[1] == [(text, said["text"].strip(), 2, False)]
    [source] = [c.source for c in kept.snapshot().completions.values() if c.text == text]
    assert source == f"correction:{corrected.json()['who']}"
    assert give(running, [said | {"correction": said["text"]}]).status_code == 400


def test_nobody_puts_words_into_a_models_mouth(pages, kept):
    running = pages()
    said = answers(running, 1, -1)
    for change in (
        {"text": "I hate you"},
        {"model": OLD},
        {"finish": "stop" if said[0]["finish"] != "stop" else "length"},
    ):
        assert give(running, [said[0] | change]).status_code == 409
    other = [{"role": "user", "content": "another question"}]
    assert give(running, said, messages=other).status_code == 409
    assert give(running, said, dimension="charm").status_code == 400
    assert labels(kept) == (set(), [])


def test_the_gate_stands_before_both_models_and_a_refusal_cannot_be_judged(pages):
    running = pages(gate=NO_ZEBRA)
    for model in (NEW, OLD):
        text, end = ask(running, model, [{"role": "user", "content": "sell me a zebra"}])
        assert text == REFUSAL and end == {"finish": "content_filter", "seal": None}
        text, end = ask(running, model)
        assert text != REFUSAL and end["seal"]


def test_feedback_has_a_limit_of_its_own_for_each_key(pages, tmp_path, kept):
    keys = tmp_path / "api_keys"
    secrets = [new_key(keys, name) for name in ("flood", "other")]
    now = [0.0]
    running = pages(keys=Keys(keys), rate=Rate(A_MINUTE, clock=lambda: now[0]))
    flood, other = ({"authorization": f"Bearer {s}"} for s in secrets)
    said = answers(running, 1, -1, **flood)
    codes = [give(running, said, headers=flood).status_code for _ in range(A_MINUTE + 5)]
    assert codes == [200] * A_MINUTE + [429] * 5
    refused = give(running, said, headers=flood)
    assert "20 times a minute" in refused.json()["error"]["message"] and int(refused.headers["retry-after"]) > 0
    assert give(running, said, headers=other).status_code == 200
    now[0] = 61
    assert give(running, said, headers=flood).status_code == 200
    assert {a.name for a in kept.snapshot().annotators} == {"user:flood", "user:other"}


def test_without_a_project_the_page_works_and_says_that_nothing_is_kept(pages):
    running = pages(store=None)
    assert httpx.get(running.url + "/chat/setup").json()["kept"] is False
    refused = give(running, answers(running, 1, -1))
    assert refused.status_code == 404 and "not kept" in refused.json()["error"]["message"]


def test_malformed_feedback_is_refused_and_never_an_error_of_the_server(pages, kept):
    running = pages(rate=Rate(1000))
    [said] = answers(running, 1)
    whole = {"consent": True, "messages": HELLO, "answers": [said], "browser": BROWSER}
    broken = [{k: v for k, v in whole.items() if k != name} for name in whole]
    broken += [whole | {name: value} for name in whole for value in (None, [], {}, "x", 3, [None], [[]], "\0")]
    broken += [whole | {"answers": [said | {name: value}]} for name in said for value in (None, [], 7, "\0", "x" * 70)]
    broken += [whole | {"answers": [said] * 3}, whole | {"more": 1}, whole | {"messages": HELLO * 200}]
    for body in broken:
        code = httpx.post(running.url + "/chat/feedback", json=body).status_code
        assert 400 <= code < 500, body
    assert kept.counts()["comparison_events"] == 0


@pytest.fixture
def run(tmp_path, tiny_folder):
    """A project's run whose base is another folder."""
    shutil.copytree(tiny_folder, tmp_path / "runs" / "one" / "policy")
    shutil.copytree(tiny_folder, tmp_path / "start")
    durable.write_json(tmp_path / "runs" / "one" / "run.json", {"kind": "align", "reference": "../../start"})
    return tmp_path


def test_the_base_of_a_run_stands_beside_it_behind_the_same_gate(run):
    (run / "rules.toml").write_text('[[rule]]\nname = "no zebra"\nmust_not_have = ["zebra"]\nunsafe = true\n')
    wanted = Wanted(["one"], rules=run / "rules.toml")
    assert base_of("one", run) == str((run / "start").resolve())
    models = open_models(wanted, run, Config())
    assert columns(models, wanted, run, Config()) == ("one", "one-base")
    assert models["one-base"].gate is models["one"].gate is not None
    both = replace(wanted, models=["one", str(run / "start")])
    models = open_models(both, run, Config())
    assert columns(models, both, run, Config()) == ("one", "start") and len(models) == 2
    alone = replace(wanted, models=[str(run / "start")])
    models = open_models(alone, run, Config())
    assert columns(models, alone, run, Config()) == ("start",)
    (run / "runs" / "one" / "run.json").write_text("[]")
    with pytest.raises(InputError, match="--no-page"):
        base_of("one", run)


def test_what_is_said_of_an_answer_with_a_nul_is_kept_too(pages, kept, monkeypatch):
    add = Text.add
    monkeypatch.setattr(Text, "add", lambda self, token: add(self, token) + "\0")
    running = pages()
    text, end = ask(running, NEW, HELLO)
    assert "\0" not in text and "\ufffd" in text
    said = [{"model": NEW, "text": text, "finish": end["finish"], "seal": end["seal"], "thumb": 1}]
    assert give(running, said).status_code == 200


def test_what_a_user_asked_is_kept_without_personal_data_in_the_prompt(pages, kept):
    running = pages()
    messages = [{"role": "user", "content": "hello, my card is 4111 1111 1111 1111"}]
    text, end = ask(running, NEW, messages)
    said = [{"model": NEW, "text": text, "finish": end["finish"], "seal": end["seal"], "thumb": 1}]
    assert give(running, said, messages=messages).status_code == 200
    with kept.reading() as c:
        [stored] = c.execute(sa.select(t.prompts.c.messages)).scalars()
    assert stored == [["user", "hello, my card is [card]"]]

"""Why an answer got its reward, over a real socket and in a real browser."""

import json
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.responses import HTMLResponse
from starlette.routing import Route

from trueline.config import Config, RewardConfig
from trueline.evaluate.word_diff import compare
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Exchange, Prompt, Rating
from trueline.reward.objective import Objective
from trueline.reward.registry import load_reward, new_reward
from trueline.serving.answers import Rewards
from trueline.serving.api import Server
from trueline.serving.keys import Keys, new_key
from trueline.serving.opening import Wanted, open_models
from trueline.serving.why import Explaining
from trueline.serving.why_routes import routes

HELLO = [{"role": "user", "content": "hello order lamp"}]
EVIL = "<img src=x onerror=\"window.owned='{}'\"><b>bold</b>"
SECRET = "kettle under the zebra stairs"
WEIGHTS = {"quality": 1.0, "safety": 0.5}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """An ensemble learned "clear" and "vague"; one label of Zoe's alone taught it "zebra"; some texts are hostile."""
    folder = tmp_path_factory.mktemp("why")
    rng, exchanges, ratings = np.random.default_rng(0), [], []
    for i in range(80):
        prompt = Prompt.from_user(f"question {i} {EVIL.format('prompt')}", {"split": "train"})
        for word, mark in (("clear", 5), ("vague", 1)):
            who = Annotator(f"{EVIL.format('person')} {i % 2}", simulated=i % 2 == 0)
            text = " ".join([*rng.choice("order parcel today we you soon here".split(), 6), word, EVIL.format("label")])
            zebra = i in (7, 8) and mark == 5
            if zebra:
                text, mark, who = f"{SECRET} zebra {i}", 1, Annotator("Zoe")
            exchanges.append(Exchange.of(prompt, text))
            # A word is known from two answers on: the second one is judged for safety alone.
            rated = ("safety",) if zebra and i == 8 else WEIGHTS
            ratings += [Rating(exchanges[-1].completion.id, d, mark, who) for d in rated]
    snapshot = FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges}, {e.completion.id: e.completion for e in exchanges}, ratings, ()
    )
    model = new_reward(RewardConfig(members=3, features=("words",), max_features=300, relations=2), tuple(WEIGHTS))
    model.fit(snapshot)
    (folder / "rewards").mkdir()
    model.save(folder / "rewards" / "reward")
    snapshot.save(folder / "rewards" / "reward.snapshot.jsonl")
    return folder


@pytest.fixture
def rewards(project):
    def make(show_labels=False, best_of=1, folder=project / "rewards" / "reward"):
        objective = Objective(WEIGHTS, 1.0, 10.0)
        return Rewards("reward", load_reward(folder), objective, best_of, Explaining(folder, show_labels))

    return make


@pytest.fixture
def start(serve, served):
    """start(rewards, **settings): a running server of the tiny policy with the routes of "why"."""

    def run(rewards, *extra, **settings):
        model = served(rewards=rewards)
        bare = Server({model.name: model}, **settings)
        return serve(model, extra=[*extra, *routes(bare)], **settings)

    return run


def ask(running, answer="it was clear and zebra", other=None, headers=None, **changes):
    value = {"model": "tiny", "messages": HELLO, "answer": answer, "other": other, **changes}
    return httpx.post(running.url + "/v1/trueline/why", json=value, headers=headers, timeout=60)


def test_the_parts_sum_to_each_score_and_the_scores_to_the_reward(start, rewards, project):
    found = ask(start(rewards())).json()
    model = load_reward(project / "rewards" / "reward")
    scores = model.score([Exchange.of(Prompt.from_user(HELLO[0]["content"]), "it was clear and zebra")])
    for i, d in enumerate(found["dimensions"]):
        assert d["score"] == pytest.approx(scores.values[0, i]) and d["std"] == pytest.approx(scores.std[0, i])
        assert "".join(word for word, _ in d["words"]) == "it was clear and zebra"
        words, parts = (sum(value for _, value in d[name]) for name in ("words", "parts"))
        assert d["average"] + words + parts + d["smaller"] == pytest.approx(d["score"], abs=1e-9)
        value = dict(d["words"])
        assert value["clear"] > 0 > value["zebra"]
        labels = found["labels"][d["dimension"]]
        assert d["average"] + labels["adds"] == pytest.approx(d["score"], abs=1e-5)
        assert labels["learned_from"] == {"quality": 159, "safety": 160}[d["dimension"]] and len(labels["most"]) == 5
    assert found["reward"] == pytest.approx(sum(d["weight"] * d["score"] for d in found["dimensions"]))
    assert (found["object"], found["model"], found["reward_model"]) == ("trueline.why", "tiny", "reward")


def test_the_label_that_alone_taught_a_word_comes_first_with_its_person(start, rewards):
    found = ask(start(rewards(show_labels=True)), "the zebra is here").json()
    first = found["labels"]["quality"]["most"][0]
    assert found["labels_shown"] and first["direction"] == "down" and first["moves"] < 0
    assert first["people"] == [{"name": "Zoe", "simulated": False, "rating": 1}] and SECRET in first["answer"]
    assert first["prompt"].startswith("question 7 ")


def test_without_show_labels_nothing_of_other_people_is_told(start, rewards):
    quiet = ask(start(rewards()), "the zebra is here")
    shown = ask(start(rewards(show_labels=True)), "the zebra is here").json()
    assert not any(text in quiet.text for text in ("Zoe", SECRET, "question 7", "onerror"))
    for dimension, each in quiet.json()["labels"].items():
        assert all(set(label) == {"id", "direction"} for label in each["most"])
        assert [x["id"] for x in each["most"]] == [x["id"] for x in shown["labels"][dimension]["most"]]


def test_beside_another_answer_the_differences_parts_sum_to_the_scores_difference(start, rewards):
    running = start(rewards())
    one, other = "it was clear today", "it was vague 今天很好"
    found, alone = ask(running, one, other).json(), ask(running, other).json()
    for mine, theirs, d in zip(
        found["dimensions"], alone["dimensions"], found["difference"]["dimensions"], strict=True
    ):
        assert d["score"] == pytest.approx(mine["score"] - theirs["score"])
        assert sum(value for _, value in d["parts"]) + d["smaller"] == pytest.approx(d["score"], abs=1e-9)
        assert dict(map(tuple, d["parts"]))["clear"] > 0
    words = found["difference"]["words"]
    assert "".join(w["text"] for w in words if w["in"] != "other") == one
    assert "".join(w["text"] for w in words if w["in"] != "answer") == other
    assert words[0] == {"text": "it was ", "in": "both"} and found["other"]["reward"] == pytest.approx(alone["reward"])


def test_a_difference_keeps_as_many_words_as_can_be_kept():
    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = (list(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
        found = compare(" ".join(a), " ".join(b))
        sides = {"one": "", "other": ""}
        for each in found:
            for side in sides:
                sides[side] += each.text if each.where in (side, "both") else ""
        assert sides == {"one": " ".join(a), "other": " ".join(b)}
        kept = sum(len(re.findall(r"\w|\s", s.text)) for s in found if s.where == "both")
        x, y = (re.findall(r"\w|\s", " ".join(side)) for side in (a, b))
        assert kept == longest(tuple(x), tuple(y))
    assert compare("a " * 5000, "b " * 5000) is None


def longest(x, y):
    """The length of the longest common subsequence, by the textbook's table."""
    table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i, p in enumerate(x):
        for j, q in enumerate(y):
            table[i + 1][j + 1] = table[i][j] + 1 if p == q else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_a_served_answer_says_why_only_where_it_is_asked(start, rewards):
    running = start(rewards(best_of=2))
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 12, "seed": 3}
    for level in ("explain", "why"):
        found = httpx.post(
            running.url + "/v1/chat/completions", json=body, headers={"x-trueline": level}, timeout=60
        ).json()
        [choice] = found["x-trueline"]["choices"]
        best = choice["candidates"][choice["best"]]
        if level == "explain":
            assert "why" not in choice
        else:
            scores = {d["dimension"]: d["score"] for d in choice["why"]["dimensions"]}
            assert scores == pytest.approx({d: each["score"] for d, each in best["scores"].items()})
            assert choice["why"]["reward"] == pytest.approx(best["reward"])
            text = found["choices"][0]["message"]["content"].strip()
            assert "".join(w for w, _ in choice["why"]["dimensions"][0]["words"]) == text
    with httpx.stream(
        "POST", running.url + "/v1/chat/completions", json=body | {"stream": True}, headers={"x-trueline": "why"}
    ) as response:
        assert '"why":{' in "".join(response.iter_text())


def test_who_may_ask_and_what(start, rewards, tmp_path):
    secret = new_key(tmp_path / "keys", "shop")
    running = start(rewards(), keys=Keys(tmp_path / "keys"))
    key = {"authorization": f"Bearer {secret}"}
    assert ask(running).status_code == 401
    assert ask(running, headers=key).status_code == 200
    assert ask(running, headers=key, model="no").status_code == 404
    for wrong in ({"answer": "x" * 20_001}, {"answer": None}, {"other": 3}, {"messages": []}, {"stream": True}):
        refused = ask(running, headers=key, **wrong)
        assert refused.status_code == 400 and refused.json()["error"]["param"] == next(iter(wrong))
    plain = httpx.post(running.url + "/v1/trueline/why", content="{}", headers=key)
    assert plain.status_code == 415
    for name in ("why.js", "why.css"):
        assert httpx.get(running.url + f"/static/{name}").status_code == 200


def test_where_there_is_no_reward_model_or_no_labels(serve, served, start, rewards, project, tmp_path):
    bare = served()
    refused = ask(serve(bare, extra=routes(Server({bare.name: bare}))))
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "no_reward_model"
    shutil.copytree(project / "rewards" / "reward", tmp_path / "reward")
    found = ask(start(rewards(folder=tmp_path / "reward")))
    assert found.status_code == 200 and found.json()["labels"] is None and found.json()["labels_lack"]
    assert str(tmp_path) not in found.text


def test_answers_are_drawn_while_one_is_explained(start, rewards):
    """The explaining thread is held: chat goes on, and of those who wait for it only so many may."""
    explaining = rewards()
    running = start(explaining)
    held = threading.Event()
    explaining.explaining.thread.submit(held.wait, 60)
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(ask, running) for _ in range(18)]
        body = {"model": "tiny", "messages": HELLO, "max_tokens": 8}
        assert httpx.post(running.url + "/v1/chat/completions", json=body, timeout=60).status_code == 200
        assert not held.is_set() and sum(w.done() for w in waiting) <= 2
        held.set()
        codes = sorted(w.result().status_code for w in waiting)
    assert codes == [200] * 16 + [429] * 2


def test_a_run_and_a_loop_are_explained_by_what_they_were_trained_by(project, tiny_folder, tmp_path):
    """Their reward lies in a round's folder, with everybody's labels beside it."""
    snapshot = FeedbackSnapshot.load(project / "rewards" / "reward.snapshot.jsonl")
    extra = Rating(next(iter(snapshot.completions)), "quality", 3, Annotator("Judge"))
    round_ = tmp_path / "runs" / "loop" / "round-01"
    shutil.copytree(project / "rewards" / "reward", round_ / "reward")
    whole = FeedbackSnapshot(snapshot.prompts, snapshot.completions, (*snapshot.ratings, extra), ())
    whole.save(round_ / "snapshot.jsonl")
    shutil.copytree(tiny_folder, round_ / "align" / "policy")
    names = {"annotators": [a.name for a in snapshot.annotators]}
    promoted = {"round": 1, "policy": "round-01/align/policy", "reward": names, "judge": {"annotators": ["Judge"]}}
    (round_.parent / "promoted.json").write_text(json.dumps(promoted))
    (round_.parent / "run.json").write_text(json.dumps({"kind": "loop"}))
    wanted = Wanted(["loop"], reward="loop", guarded=False)
    served = open_models(wanted, tmp_path, Config())["loop"]
    explainer = served.rewards.explaining.explainer
    assert explainer.lacks == "" and explainer.snapshot.sha256 == snapshot.sha256
    served.close()
    run = tmp_path / "runs" / "one"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"kind": "align", "reward": "../loop/round-01/reward"}))
    from trueline.reward.lineage import reward_of

    assert reward_of(tmp_path, "one") == (round_ / "reward").resolve()


PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8"><title>why</title><link rel="icon" href="data:,">
<style>body{{font:16px system-ui;margin:24px;max-width:720px;color-scheme:light dark}}</style>
<script src="/static/why.js"></script><div id="here"></div></html>"""
POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:"


@pytest.fixture
def page_of(browser, start, rewards):
    """page_of(language, rewards=): a page that has loaded why.js."""
    pages, errors = [], []

    def open_(language="en", explaining=None):
        async def page(_):
            return HTMLResponse(PAGE.format(language=language), headers={"content-security-policy": POLICY})

        running = start(explaining or rewards(show_labels=True), Route("/page", page))
        found = browser.new_page(viewport={"width": 800, "height": 1000})
        found.on("pageerror", lambda e: errors.append(str(e)))
        found.on("console", lambda m: errors.append(m.text) if m.type == "error" and "400" not in m.text else None)
        found.goto(running.url + "/page")
        pages.append(found)
        return found

    yield open_
    for each in pages:
        each.close()
    assert errors == []


def show(page, answer, other=None, model="tiny"):
    wanted = {"model": model, "messages": HELLO, "answer": answer, "other": other}
    return page.evaluate("(wanted) => showWhy(document.getElementById('here'), wanted)", wanted)


def test_in_a_browser_hostile_texts_stay_texts(page_of):
    page = page_of()
    assert show(page, f"zebra clear {EVIL.format('answer')}", f"vague {EVIL.format('other')}")
    page.wait_for_selector(".why-labels li")
    page.wait_for_timeout(200)
    assert page.evaluate("window.owned") is None
    assert page.locator("#here img, #here b").count() == 0
    text = page.locator("#here").inner_text()
    assert "onerror" in text and "Zoe rated it 1 of 5" in text and SECRET in text and "(simulated)" in text
    assert page.locator(".why-text .word.up", has_text="clear").count() == 1
    assert page.locator(".why-text .word.down", has_text="zebra").count() == 1
    assert page.locator("ins", has_text="zebra").count() and page.locator("del", has_text="vague").count()
    assert page.locator(".why-doubt").count() == 2
    drawn = page.locator(".why-fill").first.evaluate("(e) => getComputedStyle(e).backgroundColor")
    assert drawn not in ("", "rgba(0, 0, 0, 0)")
    page.get_by_role("button", name="safety").click()
    assert page.locator(".why-tabs [aria-pressed=true]").inner_text() == "safety"


def test_in_a_browser_in_chinese_and_where_labels_are_not_shown(page_of, rewards):
    page = page_of("zh-Hans", rewards())
    assert show(page, "clear 今天", "clear 今天")
    text = page.locator("#here").inner_text()
    assert "奖励" in text and "质量" in text and "提高了得分" in text and "两个答案相同" in text
    assert "这里不显示标注者" in text and "Zoe" not in text
    # Only what the answer and ids hold is no Chinese.
    assert not re.search(r"[A-Za-z]{4,}", re.sub(r"\b[0-9a-f]{16}\b|clear", "", text))


def test_in_a_browser_what_cannot_be_explained_is_said(page_of):
    page = page_of()
    assert show(page, "x" * 20_001) is False
    assert "could not be explained" in page.locator("#here").inner_text()


def test_features_of_an_answer_and_its_request_have_chinese_names():
    import trueline.serving
    from trueline.reward.relations import SINGLE

    script = (Path(trueline.serving.__file__).parent / "static" / "why.js").read_text("utf-8")
    assert [name for name in SINGLE if f'"{name}": "' not in script] == []

"""A flood of false feedback from one key: it comes in no faster than it may, moves no reward, and is named."""

import socket
import threading
import time
from itertools import count

import httpx
import numpy as np
import pytest
import uvicorn

from trueline.config import Config, ProjectConfig, RewardConfig
from trueline.feedback.annotators import panel
from trueline.feedback.audit.audit import audit
from trueline.feedback.audit.timing import label_events
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.feedback.thumbs import Said, keep
from trueline.feedback.users import AT_LEAST, SHARE, most_weight, named_user, within_share
from trueline.loop.project import Project
from trueline.records import SPLITS, Annotator, Comparison, Exchange, Prompt, Rating
from trueline.reward.features import PLAIN
from trueline.reward.registry import new_reward
from trueline.scenarios import load_scenario
from trueline.scenarios.customer_service import grammar
from trueline.scenarios.customer_service.facts import Facts
from trueline.serving.answers import Served
from trueline.serving.api import Server, create_app
from trueline.serving.chat import Page, routes
from trueline.serving.feedback import A_MINUTE, Keeping, Seal
from trueline.serving.keys import Keys, Rate, new_key

FLOOD, HONEST, HELD_OUT, PANELS = 2000, 200, 400, 3
SHOP = load_scenario("customer_service")
ANNA, BEN, MALLORY, OTHER = Annotator("Anna"), Annotator("Ben"), named_user("mallory"), named_user("other")


def pairs(n, split, seed):
    """n times two different replies of unequal quality to a request, the worse first."""
    rng = np.random.default_rng([7, seed])
    found = []
    for prompt in SHOP.prompts(2 * n, split, seed):
        texts = {grammar.draw_reply(Facts(**prompt.meta), rng) for _ in range(2)}
        two = sorted((Exchange.of(prompt, t) for t in texts), key=lambda e: SHOP.truth(e).quality)
        if len({SHOP.truth(e).quality for e in two}) == 2:
            found.append(two)
    return found[:n]


def test_how_much_a_users_labels_may_weigh():
    few = AT_LEAST
    assert most_weight({ANNA: 1000, MALLORY: 5000}) == {MALLORY: int(SHARE * 1000)}
    assert most_weight({ANNA: 10, MALLORY: 5000, OTHER: 3}) == {OTHER: 3, MALLORY: few}
    assert most_weight({MALLORY: 5000}) == {MALLORY: 5000}  # nobody else is outvoted
    assert most_weight({MALLORY: 5000, OTHER: 40})[MALLORY] == 40
    users = {named_user(f"u{i}"): 1000 for i in range(20)}
    counted = most_weight({ANNA: 1000, BEN: 1000, **users})
    others = 2000
    for n in sorted(counted.values()):
        assert n <= SHARE * others
        others += n
    assert most_weight({ANNA: 5000, BEN: 3}) == {}  # who labels for the project is not capped


def test_the_same_labels_stay_as_others_come_and_those_of_the_others_are_untouched():
    prompts = [Prompt.from_user(f"question {i}") for i in range(400)]
    answers = [Exchange.of(p, "an answer").completion for p in prompts]

    def snapshot(n):
        said = [Rating(a.id, "quality", 3, BEN) for a in answers[:350]]
        said += [Rating(a.id, "quality", 5, MALLORY) for a in answers[:n]]
        return FeedbackSnapshot({p.id: p for p in prompts}, {a.id: a for a in answers}, tuple(said), ())

    before, after = within_share(snapshot(300)), within_share(snapshot(400))
    kept = [{r.completion_id for r in s.ratings if r.annotator == MALLORY} for s in (before, after)]
    assert len(kept[0]) == len(kept[1]) == int(SHARE * 350)
    assert len(kept[0] & kept[1]) >= 3
    assert sum(r.annotator == BEN for r in after.ratings) == 350
    assert within_share(before).sha256 == before.sha256


def test_what_users_ask_is_not_trained_on(tmp_path):
    config = Config(project=ProjectConfig(scenario=""))
    asked, own, answered = (Prompt.from_user(t) for t in ("of a user", "of the project", "answered"))
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        store.add([Exchange.of(answered, "yes", "import:jsonl")])
        keep(store, MALLORY, "quality", [Said(Exchange.of(asked, "a poem", "served:aligned"), 1)])
        project = Project(tmp_path, config)
        everything = [p for split in SPLITS for p in project.prompts(9, split, 0, may_lack=True)]
        assert [p.id for p in everything] == [answered.id]
        store.add(prompts=[own])
        everything = [p for split in SPLITS for p in project.prompts(9, split, 0, may_lack=True)]
        assert [p.id for p in everything] == [own.id]


@pytest.fixture
def poisoned(tiny, tmp_path):
    """A store into which one key gave 2,000 thumbs through the server, always for the worse answer; and how often it
    was told to wait.
    """
    now = count()
    clock = [0.0]
    secret, seal = new_key(tmp_path / "api_keys", "mallory"), Seal()
    with FeedbackStore.open(tmp_path / "feedback.sqlite") as store:
        served = Served.of("aligned", tiny)
        server = Server({"aligned": served}, Keys(tmp_path / "api_keys"), Rate(10**9))
        keeping = Keeping(store, ("quality",), Rate(A_MINUTE, clock=lambda: clock[0]))
        server = Server(
            server.models, server.keys, server.rate, extra=routes(server, Page(("aligned",), 8, keeping, seal))
        )
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(create_app(server), log_level="critical"))
        thread = threading.Thread(target=running.run, args=([listening],), daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        url, waited = f"http://127.0.0.1:{listening.getsockname()[1]}/chat/feedback", 0
        with httpx.Client(headers={"authorization": f"Bearer {secret}"}, timeout=60) as client:
            for worse, better in pairs(FLOOD, "train", 11):
                if next(now) % 2:
                    clock[0] += 5  # two every 5 seconds, until the limit says no
                said = [
                    {"model": m, "text": e.completion.text, "finish": "stop", "thumb": thumb,
                     "seal": seal.of(m, e.prompt, e.completion.text, "stop")}
                    for m, e, thumb in (("base", worse, 1), ("aligned", better, -1))
                ]  # fmt: skip
                messages = [{"role": m.role, "content": m.content} for m in worse.prompt.messages]
                body = {"consent": True, "messages": messages, "answers": said}
                while (answer := client.post(url, json=body)).status_code == 429:
                    waited += 1
                    clock[0] += int(answer.headers["retry-after"])
                assert answer.status_code == 200, answer.text
        running.should_exit = True
        thread.join(20)
        yield store, waited


def honest(seed):
    """200 labels by four simulated annotators: comparisons, and as many ratings."""
    people = panel(4, seed, ("quality",))
    compared, rated = [], []
    for i, two in enumerate(pairs(HONEST, "train", 100 + seed)):
        truths = [SHOP.truth(e).quality for e in two]
        compared.append((two, people[i % 4].compare(*two, "quality", *truths, seed)))
        rated.append(people[i % 4].rate(two[i % 2], "quality", truths[i % 2], seed))
    exchanges = [e for two, _ in compared for e in two]
    return exchanges, rated, [c for _, c in compared]


def joined(snapshot, exchanges, ratings, comparisons):
    return FeedbackSnapshot(
        {**snapshot.prompts, **{e.prompt.id: e.prompt for e in exchanges}},
        {**snapshot.completions, **{e.completion.id: e.completion for e in exchanges}},
        (*snapshot.ratings, *ratings),
        (*snapshot.comparisons, *comparisons),
    )


def hits(labels, learn_from, held_out):
    """Which held-out pairs a reward that learned from the labels orders rightly."""
    model = new_reward(RewardConfig(learn_from=learn_from, features=PLAIN), ("quality",))
    model.fit(labels)
    scores = model.score([e for two in held_out for e in two]).values[:, 0].reshape(-1, 2)
    return scores[:, 1] > scores[:, 0]


@pytest.mark.slow
def test_a_flood_from_one_key_moves_no_reward_and_without_the_defence_it_does(poisoned):
    store, waited = poisoned
    flood = store.snapshot()
    assert waited > FLOOD / A_MINUTE / 2
    assert {a.name for a in flood.annotators} == {"user:mallory"}
    assert len(flood.comparisons) == FLOOD
    for learn_from in ("comparisons", "ratings"):
        lost = won = 0
        for seed in range(PANELS):
            exchanges, ratings, comparisons = honest(seed)
            all_ = joined(flood, exchanges, ratings, comparisons)
            clean = all_.by_annotators({a.name for a in all_.annotators if a.simulated})
            held_out = pairs(HELD_OUT, "test", 200 + seed)
            before, after = (hits(x, learn_from, held_out) for x in (clean, within_share(all_)))
            lost, won = lost + int((before & ~after).sum()), won + int((~before & after).sum())
            assert before.mean() > 0.8
        assert lost - won <= 1.96 * np.sqrt(lost + won), (learn_from, lost, won)  # McNemar: no more than chance
        assert hits(all_, learn_from, held_out).mean() < 0.5  # and so it would be
    findings = {f.id: f for f in audit(all_, label_events(store), resamples=200).findings}
    share = findings["share/user:mallory"]
    assert share.severity == "serious" and "user:mallory gave" in share.sentence
    assert any(f.aspect == "one-sided" and "user:mallory" in f.sentence for f in findings.values())


def test_who_lets_one_model_win_where_others_do_not_is_named_and_chance_is_not():
    rng = np.random.default_rng(0)
    prompts = [Prompt.from_user(f"question {i}") for i in range(200)]
    two = [[Exchange.of(p, f"{m} answers {p.id}", f"served:{m}") for m in ("base", "aligned")] for p in prompts]

    def said(person, share, some):
        return [
            Comparison(a.completion.id, b.completion.id, "quality", 1 if rng.random() < share else -1, person)
            for a, b in some
        ]

    def found(*labels):
        snapshot = FeedbackSnapshot(
            {p.id: p for p in prompts}, {e.completion.id: e.completion for x in two for e in x}, (), sum(labels, ())
        )
        return {f.id: f.severity for f in audit(snapshot, resamples=100).findings if f.aspect == "one-sided"}

    fair = tuple(said(ANNA, 0.7, two)), tuple(said(BEN, 0.7, two[:150]))
    assert set(found(*fair).values()) == {"ok"}
    severities = found(*fair, tuple(said(MALLORY, 0.0, two[:60])))
    assert [i for i, s in severities.items() if s == "serious"] == [
        "one-sided/quality/user:mallory/served:aligned/served:base"
    ]

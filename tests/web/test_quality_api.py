"""The quality figures of the API against krippendorff's package and plain counts."""

import random

import krippendorff
import numpy as np
import pytest
from visitors import judgement

PEOPLE = ("Anna", "Ben", "Clara")


@pytest.fixture
def judged(pages):
    """Three people judge everything, at random; returns the preferences by person and request, for answer 1."""
    rng, said = random.Random(1), {}
    with pages.site.store.engine.begin() as c:
        c.exec_driver_sql("UPDATE items SET wanted = 3, free = 3")
    for name in PEOPLE:
        client = pages.client(name)
        while (found := client.post("/api/v1/next")).status_code == 200:
            task, preference, mark = found.json(), rng.randint(-3, 3), rng.randint(1, 5)
            body = {**judgement(task, preference, mark), "seconds": 10.0}
            headers = {"Idempotency-Key": f"k{task['id']}"}
            assert client.post(f"/api/v1/tasks/{task['id']}/judgement", json=body, headers=headers).is_success
            first = task["answers"][0]["text"] == "answer 0"
            said[name, task["messages"][0]["content"]] = (preference if first else -preference, mark, preference)
    return pages, said


def test_agreement_equals_krippendorffs_package(judged):
    pages, said = judged
    found = pages.client("Rita", "reviewer").get("/api/v1/quality").json()
    requests = sorted({r for _, r in said})
    table = np.array([[said[p, r][0] for r in requests] for p in PEOPLE], dtype=float)
    # An item's own order of answers is by their ids; the sign of all votes on an item may turn with it.
    snapshot = pages.site.store.snapshot()
    for k, r in enumerate(requests):
        a, _ = sorted(
            i for i, c in snapshot.completions.items() if snapshot.exchange(i).prompt.messages[0].content == r
        )
        if snapshot.completions[a].text != "answer 0":
            table[:, k] *= -1
    expected = krippendorff.alpha(table, level_of_measurement="ordinal", value_domain=range(-3, 4))
    assert found["agreement"]["alpha"]["preference"]["value"] == pytest.approx(expected, abs=1e-6)
    marks = np.repeat([[said[p, r][1] for r in requests] for p in PEOPLE], 2, axis=1).astype(float)
    expected = krippendorff.alpha(marks, level_of_measurement="ordinal", value_domain=range(1, 6))
    assert found["agreement"]["alpha"]["safety"]["value"] == pytest.approx(expected, abs=1e-6)
    lefts = [shown for *_, shown in said.values() if shown != 0]
    assert found["left_wins"]["value"] == pytest.approx(np.mean([p < 0 for p in lefts]))
    assert found["judgements"] == 9 and [p["judgements"] for p in found["people"]] == [3, 3, 3]
    assert {p["seconds"] for p in found["people"]} == {10.0} and len(found["pairs"]) == 3


def test_annotators_see_no_other_names(judged):
    pages, _ = judged
    found = pages.client("Anna").get("/api/v1/quality").json()
    assert [p["name"] for p in found["people"]] == ["Anna"] and found["pairs"] == []


def test_the_figures_follow_what_is_said_and_whoever_makes_gold_is_not_measured_by_it(judged):
    pages, _ = judged
    rita = pages.client("Rita", "reviewer")
    before = rita.get("/api/v1/quality").json()
    assert before == rita.get("/api/v1/quality").json()
    with pages.site.store.engine.connect() as c:
        item = c.exec_driver_sql("SELECT id FROM items ORDER BY id").scalar()
    task = rita.post(f"/api/v1/review/{item}").json()
    headers = {"Idempotency-Key": "gold"}
    said = rita.post(f"/api/v1/tasks/{task['id']}/judgement", json=judgement(task, 2, 4), headers=headers)
    assert said.is_success
    after = rita.get("/api/v1/quality").json()
    assert after["judgements"] == before["judgements"] + 1
    assert rita.post(f"/api/v1/review/{item}/gold").is_success
    gold = {p["name"]: p["gold"] for p in rita.get("/api/v1/quality").json()["people"]}
    assert gold["Rita"] is None
    assert all(gold[name]["n"] == 1 for name in PEOPLE)

"""`trueline reward` and its commands, as a user types them, on labels with a planted truth."""

import json

import numpy as np
import pytest
from command import trueline

from trueline.records import DIMENSIONS, Prompt, split_of

WORDS = "we send you the parcel order today soon here it was late".split()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose raters like "clear" and dislike "vague", with a reward learned from them."""
    folder = tmp_path_factory.mktemp("reward") / "p"
    rng, rows = np.random.default_rng(0), []
    for i in range(120):
        for j, word in enumerate(("clear", "vague", "")):
            text = " ".join([*rng.choice(WORDS, 6), word, f"n{i}"])
            marks = dict.fromkeys(("quality", "safety", "consistency"), (5, 1, 3)[j])
            rows.append({"prompt": f"question {i}", "completion": text, "ratings": marks, "annotator": f"p{i % 3}"})
    data = folder.parent / "rows.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    trueline("init", str(folder))
    trueline("import", "jsonl", str(data), "--project", str(folder))
    trueline("reward", "-p", str(folder))
    return folder


def test_explain_names_the_word_and_its_parts_sum(project):
    found = trueline("reward", "explain", "it was clear", "--prompt", "question 3", "-p", str(project), "--json")
    result = json.loads(found.out)
    parts = result["attribution"]["parts"][0]
    assert max("it was clear".split(), key=parts.get) == "clear" and parts["clear"] > 0.1
    assert result["attribution"]["base"][0] + sum(parts.values()) == pytest.approx(result["scores"][0], abs=1e-9)
    told = trueline("reward", "explain", "it was \x1b[31mclear", "-p", str(project)).out
    assert "average answer" in told and "\x1b" not in told


def test_evaluate_writes_page_and_card(project):
    told = trueline("reward", "evaluate", "-p", str(project)).out
    assert "pairs ordered as people do" in told
    assert "<title>" in (project / "rewards" / "reward.evaluation" / "reward.html").read_text()
    card = (project / "rewards" / "reward.card.md").read_text()
    assert "Annotators (3): p0, p1, p2" in card and "Intended" in card


def test_a_fit_leaves_a_card_at_once(project):
    fitted = trueline("reward", "-p", project, "--name", "fresh", "--json").json
    text = (project / "rewards" / "fresh.card.md").read_text("utf-8")
    assert fitted["card"].endswith("fresh.card.md") and fitted["snapshot_sha256"] in text and "short form" in text


def test_score_widens_a_file_as_explain_would_score_it(project, tmp_path):
    rows = [{"prompt": "question 3", "completion": "it was clear", "id": 1}, {"prompt": "no answer"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = trueline("reward", "score", tmp_path / "in.jsonl", "-p", project)
    assert done.code == 0 and "line 2: has no completion" in done.out and "1 rows scored, 1 without a score" in done.out
    first, second = map(json.loads, (tmp_path / "in.scored.jsonl").read_text().splitlines())
    explained = trueline("reward", "explain", "it was clear", "--prompt", "question 3", "-p", project, "--json").json
    assert list(first["scores"].values()) == pytest.approx(explained["scores"], abs=1e-9)
    assert first["id"] == 1 and second == {"prompt": "no answer", "scores": None}
    again = trueline("reward", "score", tmp_path / "in.jsonl", tmp_path / "in.jsonl", "-p", project)
    assert again.code == 2 and "is the input" in again.err and again.err.count("\n") == 1


def test_without_held_out_labels_it_is_said_what_to_do(project, tmp_path):
    rows = [
        {"prompt": f"question {i}", "completion": f"{word} {i}", "ratings": dict.fromkeys(DIMENSIONS, mark)}
        for i in range(40)
        if split_of(Prompt.from_user(f"question {i}")) == "train"
        for word, mark in (("clear", 5), ("vague", 1))
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    trueline("init", tmp_path / "p")
    trueline("import", "jsonl", tmp_path / "rows.jsonl", "-p", tmp_path / "p")
    for command in (["reward"], ["reward", "evaluate"]):
        told = trueline(*command, "-p", tmp_path / "p")
        assert told.code == 0 and "label answers to them" in told.out, told.err


def test_counterfactual_table_compare_and_bench(project, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("name,kind,find,with,expect,tolerance\nflattery,append,,It is clear.,not higher,0.1\n")
    rates = json.loads(trueline("reward", "test", str(table), "-p", str(project), "--json").out)["rates"]
    assert rates[0]["test"] == "flattery" and rates[0]["passed"]["value"] < 0.2 and rates[0]["mean_change"] > 0.3
    assert "McNemar" in trueline("reward", "compare", "reward", "reward", "-p", str(project)).out
    compared = json.loads(trueline("reward", "compare", "reward", "reward", "-p", str(project), "--json").out)
    assert compared["duels"]["quality"]["difference"]["value"] == 0 and "reward" in compared["leaks"]
    pairs = tmp_path / "b.jsonl"
    rows = [{"prompt": f"q{i}", "chosen": f"clear {i}", "rejected": f"vague {i}"} for i in range(5)]
    pairs.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = json.loads(trueline("reward", "bench", str(pairs), "-p", str(project), "--json").out)
    assert found["quality"]["all"]["value"] == 1


def test_what_is_not_there_is_said_in_one_line(project, tmp_path):
    for arguments in (
        ["explain", "x", "--name", "no"],
        ["evaluate", "--name", "../x"],
        ["bench", str(tmp_path / "no")],
    ):
        found = trueline("reward", *arguments, "-p", str(project))
        assert found.code == 2 and found.err.count("\n") == 1 and found.err.startswith("trueline: ")

"""`trueline reward` and its commands, as a user types them, on labels with a planted truth."""

import json

import numpy as np
import pytest
from command import trueline

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


def test_counterfactual_table_compare_and_bench(project, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("name,kind,find,with,expect,tolerance\nflattery,append,,It is clear.,not higher,0.1\n")
    rates = json.loads(trueline("reward", "test", str(table), "-p", str(project), "--json").out)["rates"]
    assert rates[0]["test"] == "flattery" and rates[0]["passed"]["value"] < 0.2 and rates[0]["mean_change"] > 0.3
    assert "McNemar" in trueline("reward", "compare", "reward", "reward", "-p", str(project)).out
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

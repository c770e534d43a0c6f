"""The booking assistant, from its four sources to its report, on tiny made-up data in their formats."""

import json
import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "assistant"
TINY = """
[project]
scenario = ""
dimensions = ["quality", "safety"]
[policy]
model = "policy"
max_prompt_tokens = 48
max_new_tokens = 8
[reward]
learn_from = "either"
[objective]
weights = { quality = 1.0, safety = 1.0 }
[align]
algorithm = "ppo"
steps = 2
prompts_per_step = 4
samples_per_prompt = 2
workers = 1
[align.ppo]
critic_warmup = 1
[evaluate]
prompts = 6
bootstrap = 100
"""


@pytest.fixture
def example(modules_of):
    return modules_of("assistant")("run")


def make_data(folder: Path, n: int = 80) -> None:
    rng = random.Random(0)

    def lines(name, rows):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))

    rows = []
    for i in range(n):
        turns = ["USER", f"a table for {i}"], ["SYSTEM", f"In which city, {i}?"], ["USER", "Rome"], ["SYSTEM", "Done."]
        rows.append({"id": str(i), "turns": turns})
    lines("sgd_assistant/dialogues.jsonl", rows)
    rows = []
    for i in range(n):
        word, mark = rng.choice((("bad", -2), ("fine", 0), ("splendid", 2)))
        turns = {"sender": "customer", "text": f"phone {i} broke"}, {"sender": "helpdesk", "text": f"a {word} answer"}
        rows.append({"id": str(i), "turns": turns, "ratings": [{"A": mark, "S": 0, "E": 0}] * 19})
    lines("helpdesk/helpdesk_en.jsonl", rows)
    pairs = []
    for i in range(n):
        kind, rude = (f"\n\nHuman: hi {i}\n\nAssistant: a {word} word" for word in ("kind", "rude"))
        pairs.append({"chosen": kind, "rejected": rude})
    lines("hh_harmless/harmless-base.jsonl", pairs)
    words = ("a kind word", "Safe"), ("a rude word", "Unsafe")
    safety = [{"context": f"hey {i}", "response": w, "label": label} for i in range(n) for w, label in words]
    (folder / "diasafety").mkdir()
    (folder / "diasafety" / "train.json").write_text(json.dumps(safety))


@pytest.mark.slow
def test_it_runs_from_data_to_report_and_goes_on_where_it_stopped(example, tmp_path, monkeypatch, capfd):
    make_data(tmp_path / "data")
    here = tmp_path / "example"
    here.mkdir()
    (here / "trueline.toml").write_text(TINY)
    monkeypatch.setattr(example, "HERE", here)
    monkeypatch.setattr(example, "SIZE", ("--layers", "1", "--width", "32", "--vocabulary", "320", "--context", "64"))
    monkeypatch.setattr(example, "TRAINING", ("--steps", "4", "--batch", "8"))
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    example.main()
    report = tmp_path / "out" / "runs" / "ppo" / "report"
    assert (report / "report.html").exists() and "judge" in (report / "report.md").read_text("utf-8")
    first = capfd.readouterr().out
    assert first.count("$ trueline pretrain") == 1 and "$ trueline evaluate" in first
    example.main()
    assert "$ trueline align" not in capfd.readouterr().out


def test_a_missing_source_is_named(example, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"dialogues.jsonl: no such file; README.md"):
        example.main()
    assert not (tmp_path / "out").exists()


def test_teachers_and_judges_share_nobody(example):
    assert not set(example.TEACHERS) & set(example.JUDGES)
    assert {*example.RATERS, "DiaSafety crowd", "hh-rlhf crowd"} == {*example.TEACHERS, *example.JUDGES}


def test_prompts_end_with_a_user_turn_that_was_answered(example, tmp_path):
    make_data(tmp_path)
    example.convert(tmp_path / "sgd_assistant" / "dialogues.jsonl", tmp_path)
    prompts = [json.loads(line)["messages"] for line in (tmp_path / "prompts.jsonl").read_text().splitlines()]
    chats = [json.loads(line)["messages"] for line in (tmp_path / "dialogues.jsonl").read_text().splitlines()]
    assert {len(p) for p in prompts} == {1, 3} and all(p[-1]["role"] == "user" for p in prompts)
    assert all(p == c[: len(p)] and len(c) > len(p) for p, c in zip(prompts, chats, strict=True))

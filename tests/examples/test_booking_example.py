"""The booking example, from raw dialogues to its report, on tiny made-up data."""

import json
import sys
from pathlib import Path

import pytest

from trueline.align.journal import read_metrics
from trueline.evaluate.report import read_report
from trueline.records import Prompt, split_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "booking"


@pytest.fixture
def example(modules_of):
    return modules_of("booking")("run")


def make_data(folder: Path, n: int = 40) -> Path:
    path = folder / "sgd_assistant" / "dialogues.jsonl"
    path.parent.mkdir(parents=True)
    turns = [[["USER", f"a table for {i}"], ["SYSTEM", f"In which city, {i}?"]] for i in range(n)]
    path.write_text("".join(json.dumps({"id": str(i), "turns": t}) + "\n" for i, t in enumerate(turns)))
    return path


def test_what_is_learned_from_holds_no_test_task(example, tmp_path):
    assert next(example.dialogues(make_data(tmp_path), 1))[1] == {"role": "assistant", "content": "In which city, 0?"}
    for user, assistant in example.notes(30, 1):
        facts = [part.split(" = ")[1] for part in assistant["content"].removeprefix("note(").rstrip(")").split(", ")]
        assert len(facts) == 5 and all(fact in user["content"] for fact in facts)
    chats = list(example.demonstrations(60, 1))
    for chat in chats:
        assert [m["role"] for m in chat[:3]] == ["system", "user", "assistant"] and chat[-1]["role"] == "assistant"
        assert split_of(Prompt.from_user(chat[1]["content"])) == "train"
    assert chats == list(example.demonstrations(60, 1)) != list(example.demonstrations(60, 2))


@pytest.mark.slow
def test_one_command_goes_from_text_to_report_and_does_nothing_twice(example, tmp_path, monkeypatch, capfd):
    make_data(tmp_path / "data")
    here = tmp_path / "example"
    here.mkdir()
    settings = (EXAMPLE / "trueline.toml").read_text("utf-8")
    for old, new in (("steps = 60", "steps = 2"), ("prompts_per_step = 32", "prompts_per_step = 3"), ("= 400", "= 12")):
        assert old in settings
        settings = settings.replace(old, new)
    (here / "trueline.toml").write_text(settings)
    monkeypatch.setattr(example, "HERE", here)
    for name in ("NOTES", "DEMONSTRATIONS"):
        monkeypatch.setattr(example, name, 40)
    size = ("--layers", "1", "--width", "32", "--vocabulary", "400", "--context", "480")
    monkeypatch.setattr(example, "SIZE", size)
    monkeypatch.setattr(example, "TRAINING", ("--first-steps", "5", "--steps", "20", "--batch", "8"))
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    example.main()
    run = tmp_path / "out" / "runs" / "rloo"
    report = read_report(run / "report")
    assert {"success", "progress", "care", "kl", "length"} <= report["metrics"].keys()
    assert report["metrics"]["success"]["after"]["n"] == 12 and not report["simulated"]
    assert "The users in these conversations are simulated" in report["notes"][0]
    assert report["samples"][0]["prompt"].startswith("user (simulated): ")
    assert report["samples"][0]["before"].startswith("assistant: ")
    page = (run / "report" / "report.html").read_text("utf-8")
    assert "user (simulated): " in page and "reward that training maximised" not in page
    row = read_metrics(run)[0]
    assert row["reward"] == pytest.approx(row["check_task"] + row["eos_share"] - 1)
    assert row["check_task"] == row["true_success"] and "unsafe_share" not in row
    first = capfd.readouterr().out
    assert first.count("$ trueline pretrain") == 1 and "$ trueline evaluate" in first
    example.main()
    assert "$ trueline align" not in capfd.readouterr().out


def test_a_missing_source_is_named(example, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"dialogues.jsonl: no such file; README.md"):
        example.main()
    assert not (tmp_path / "out").exists()

"""The stories, from the model to their figures, through the real commands; and what the readers go by."""

import json
import sys
from pathlib import Path

import pytest

from trueline.evaluate.judges.rules import read_rules
from trueline.records import Exchange, Prompt

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fiction"
OPENING = "Once upon a time, there was a little dog named Mia. She had a red ball."


@pytest.fixture
def example(modules_of):
    return modules_of("fiction")


def broken(text, opening=OPENING):
    return set(read_rules(EXAMPLE / "rules.toml").which(Exchange.of(Prompt.from_user(opening), text)))


def test_each_thing_that_readers_like_is_kept_by_a_good_story_and_broken_by_another():
    good = 'Mia saw Tom. "Can we play?" asked Tom. They played and were happy.'
    assert broken(good) == set()
    assert broken(good + " And then the") == {"comes to an end"}
    assert broken(good + " They were best friends.") == {"uses no worn phrases"}
    assert broken('Mia saw Tom. They played and were happy." ') == {"somebody speaks"}
    assert broken(good.replace("Mia", "She")) == {"Mia is still there"}
    assert broken(
        good.replace("happy", "very tired of all the rain that fell on that day and on the next one too")
    ) == {"ends in a warm mood"}
    assert broken(good + " She saw the ball and went home. He saw the ball and went home. They were happy.") == {
        "says nothing twice"
    }


def test_every_opening_has_one_hero_whose_rule_asks_for_them(example):
    openings = example("openings")
    for first in openings.FIRST:
        assert len({name for name in broken("The end.", first) if "still there" in name}) == 1
    assert len(set(openings.FIRST)) == len(openings.FIRST) == 80


def test_an_opening_is_a_beginning_and_no_whole_story(example):
    openings = example("openings")
    six = "One. Two! Three? Four. Five. Six."
    assert openings.opening("First.", six + " Seven.") == "First. " + six
    assert openings.opening("First.", six) == ""
    assert openings.opening("First.", '"One. Two! Three? Four. Five. Six. Seven." Eight.') == ""


def test_readers_of_one_group_are_in_no_other(example):
    groups = example("readers").groups()
    names = [p.name for people in groups.values() for p in people]
    assert list(groups) == ["reward", "check", "judge"] and len(set(names)) == len(names)


def test_a_folder_without_the_model_is_refused(example, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--model", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"model.safetensors; README.md says"):
        example("run").main()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_it_runs_from_the_model_to_its_figures_and_goes_on_where_it_stopped(
    example, shared_data, tmp_path, monkeypatch, capfd
):
    model, out = shared_data("models/stories260k"), tmp_path / "out"
    run, openings = example("run"), example("openings")
    here = tmp_path / "example"
    here.mkdir()
    (here / "rules.toml").write_bytes((EXAMPLE / "rules.toml").read_bytes())
    small = (EXAMPLE / "trueline.toml").read_text("utf-8")
    for name, value in {
        "steps": 2,
        "prompts_per_step": 2,
        "samples_per_prompt": 2,
        "check_prompts": 4,
        "prompts": 12,
    }.items():
        small = "\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in small.splitlines())
    (here / "trueline.toml").write_text(small.replace("max_new_tokens = 128", "max_new_tokens = 24"))
    monkeypatch.setattr(run, "HERE", here)
    monkeypatch.setattr(openings.write_openings, "__defaults__", ({"train": 12, "validation": 4, "test": 12},))
    monkeypatch.setattr(sys, "argv", ["run.py", "--model", str(model), "--out", str(out), "--seeds", "5"])
    run.main()
    first = capfd.readouterr().out
    assert first.count("$ trueline align") == 1 and first.count("$ trueline reward") == 3
    labels = [json.loads(line) for line in (out / "labels.jsonl").read_text("utf-8").splitlines()]
    assert labels and all(row["simulated"] for row in labels)
    assert json.loads((out / "runs" / "seed-5" / "run.json").read_text())["seed"] == 5
    figures = (out / "figures.md").read_text("utf-8")
    assert "| win rate by the rules of rules.toml |" in figures and figures.count("- after:") == 3
    run.main()
    assert "$ trueline" not in capfd.readouterr().out

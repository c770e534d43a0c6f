"""Every fit leaves a card beside the model, told from what it learned from, and a second fit writes the same bytes."""

import json

import pytest

from trueline.config import Config
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.fitting import fit_reward, fit_stage
from trueline.loop.reward_card import audit_findings, settings_of
from trueline.records import Annotator, Exchange, Prompt, Rating


@pytest.fixture
def snapshot():
    people = (Annotator("Ann"), Annotator("sim-1", simulated=True))
    exchanges = [Exchange.of(Prompt.from_user(f"question {i}"), f"{w} {i}") for i in range(40) for w in ("good", "bad")]
    ratings = [
        Rating(e.completion.id, "quality", 5 if e.completion.text.startswith("good") else 1, p)
        for e in exchanges
        for p in people
    ]
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e in exchanges},
        {e.completion.id: e.completion for e in exchanges},
        tuple(ratings),
        (),
    )


@pytest.fixture
def config():
    return Config(
        project={"scenario": "", "dimensions": ("quality",)},
        policy={"model": "x"},
        objective={"weights": {"quality": 1.0}},
        reward={"features": ("words",)},
    )


def test_a_stage_of_the_loop_leaves_a_card_and_done_again_the_same(snapshot, config, tmp_path):
    fit_stage(snapshot, config, tmp_path / "reward")
    text = (tmp_path / "reward.card.md").read_text("utf-8")
    assert snapshot.sha256 in text and "160 ratings" in text and "Annotators (2): Ann, sim-1 (simulated)" in text
    assert "1 of them are simulated: programs, not people" in text
    assert "| quality | 1.000 [" in text.split("## Figures")[0], "the two people agree on every pair"
    assert "| quality | 1.000 |" in text.split("## Figures")[1], "held-out accuracy"
    assert "Refused: to judge people" in text and str(tmp_path) not in text
    (tmp_path / "reward.json").unlink()  # as if it had been killed just before the note
    (tmp_path / "reward.card.md").unlink()
    fit_stage(snapshot, config, tmp_path / "reward")
    assert (tmp_path / "reward.card.md").read_text("utf-8") == text


def test_what_an_audit_found_stands_in_the_card(snapshot, config, tmp_path):
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.project import Project

    project = Project.create(tmp_path / "p", config)
    with FeedbackStore.open(project.store_path) as store:
        store.add([snapshot.exchange(i) for i in snapshot.completions], snapshot.ratings)
    (tmp_path / "p" / "audit").mkdir()
    findings = [{"sentence": "Longer answers win.", "severity": "high"}, {"sentence": "All is well.", "severity": "ok"}]
    (tmp_path / "p" / "audit" / "audit.json").write_text(json.dumps({"findings": findings}))
    assert audit_findings(tmp_path / "p") == ["Longer answers win."]
    fit_reward(project, project.reward_folder("one"), set())
    text = (tmp_path / "p" / "rewards" / "one.card.md").read_text("utf-8")
    assert "- Longer answers win." in text and "All is well" not in text


def test_a_card_names_no_folder_of_this_machine(tmp_path):
    config = Config(reward={"kind": "transformer", "transformer": {"model": "/home/me/models/encoder"}}).reward
    head = {"kind": "transformer", "config": config.model_dump(mode="json")}
    (tmp_path / "model.json").write_text(json.dumps(head))
    assert settings_of(tmp_path)["model"] == "encoder"

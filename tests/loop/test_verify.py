"""`trueline verify`: what was recorded is held against what is there, and each way of tampering is one line."""

import json
import shutil

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from trueline.cli.main import app
from trueline.config import Config, ProjectConfig, RewardConfig, render
from trueline.errors import InputError
from trueline.feedback.accounts.log import faults, head, write
from trueline.feedback.store import FeedbackStore
from trueline.loop.fitting import fit_reward, labels_of
from trueline.loop.project import Project
from trueline.loop.provenance import digest, note_head, record
from trueline.loop.verifying import verify
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

ANN, BOB = Annotator("ann"), Annotator("bob")
WORDS = ("kind", "polite", "short", "rude", "vague", "angry")


def feedback(n=40):
    """Answers of which the kind ones are rated high; each of two people rates half."""
    exchanges, ratings, comparisons = [], [], []
    for i in range(n):
        prompt = Prompt.from_user(f"where is parcel {i}?")
        two = [Exchange.of(prompt, f"a {WORDS[(i + j) % 6]} reply about parcel {i}", "import:test") for j in (0, 3)]
        exchanges += two
        good = [WORDS.index(e.completion.text.split()[1]) < 3 for e in two]
        who = ANN if i % 2 else BOB
        ratings += [Rating(e.completion.id, "quality", 5 if g else 1, who) for e, g in zip(two, good, strict=True)]
        ids = [e.completion.id for e in two]
        comparisons.append(Comparison(ids[0], ids[1], "quality", -2 if good[0] else 2, who))
    return exchanges, ratings, comparisons


@pytest.fixture(params=["sqlite", "postgresql"])
def project(request, tmp_path):
    """A project with labels, a reward that was learned from them, and a policy's folder that came from it."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").address()
    config = Config(
        project=ProjectConfig(scenario="", dimensions=("quality",), store=url),
        objective={"weights": {"quality": 1.0}},
        reward=RewardConfig(features=("words",)),
    )
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "trueline.toml").write_text(render(config))
    made = Project.open(folder)
    with FeedbackStore.open(made.store_path) as store:
        store.add(*feedback())
    fit_reward(made, made.reward_folder("reward"), set())
    policy = folder / "runs" / "align-001" / "policy"
    policy.mkdir(parents=True)
    (policy / "model.safetensors").write_bytes(b"weights")
    record(made, "policy", policy, {"reward": made.reward_folder("reward"), "base": "somebody/a-model"})
    return made


def change(path, data=b"other"):
    path.write_bytes(data)


def execute(project, statement):
    with FeedbackStore.open(project.store_path) as store, store.transaction() as c:
        c.execute(sa.text(statement))


def test_a_project_that_nobody_touched_is_as_recorded(project):
    found = verify(project)
    assert found.faults == () and found.artefacts == 3 and found.head.entries == 3
    assert not any("not recorded" in note for note in found.notes)


def tampered_policy(project):
    change(project.folder / "runs/align-001/policy/model.safetensors")


def planted_file(project):
    change(project.folder / "runs/align-001/policy/extra.py")


def missing_reward_file(project):
    next(project.reward_folder("reward").glob("*.safetensors")).unlink()


def gone_policy(project):
    shutil.rmtree(project.folder / "runs/align-001")


def changed_label(project):
    execute(project, "UPDATE rating_events SET value = 2 WHERE event = 3")


def removed_label(project):
    execute(project, "DELETE FROM comparison_events WHERE event = 5")


def rewritten_snapshot(project):
    """By somebody who knows that a snapshot carries its own sha256."""
    path = labels_of(project.reward_folder("reward"))
    body = path.read_text().split("\n", 1)[1].replace("rude", "kind")
    import hashlib

    path.write_text(json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest()}) + "\n" + body)


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (tampered_policy, "runs/align-001/policy/model.safetensors: was changed after it was recorded (by entry 3)"),
        (planted_file, "runs/align-001/policy/extra.py: was put in after the rest was recorded"),
        (missing_reward_file, "rewards/reward/"),
        (gone_policy, "runs/align-001/policy: recorded by entry 3 (policy), and is not there"),
        (changed_label, "rewards/reward.snapshot.jsonl: 1 of its ratings are not in the store"),
        (removed_label, "rewards/reward.snapshot.jsonl: 1 of its comparisons are not in the store"),
        (rewritten_snapshot, "rewards/reward.snapshot.jsonl: was changed after it was recorded"),
    ],
)
def test_each_way_of_tampering_is_told(project, tamper, says):
    tamper(project)
    found = verify(project)
    assert any(fault.startswith(says) for fault in found.faults), found.faults
    result = CliRunner().invoke(app, ["verify", "-p", str(project.folder), "--json"], standalone_mode=False)
    assert result.return_value == 1 or result.exit_code == 1


def test_a_log_that_was_rewritten_whole_is_told_by_a_head_that_was_noted(project):
    """Whoever can write the store can forge a whole new chain; not one that has a hash which somebody wrote down."""
    noted = verify(project).head.hash
    run = project.folder / "runs" / "align-001"
    note_head(project, run)
    with FeedbackStore.open(project.store_path) as store:
        with store.transaction() as c:
            sqlite = c.dialect.name == "sqlite"
            for trigger in (
                ("audit_log_update", "audit_log_delete") if sqlite else ("audit_log_only_grows ON audit_log",)
            ):
                c.exec_driver_sql(f"DROP TRIGGER {trigger}")
            c.exec_driver_sql("DELETE FROM audit_said")
            c.exec_driver_sql("DELETE FROM audit_log")
        for kind, path in (
            ("snapshot", labels_of(project.reward_folder("reward"))),
            ("reward", project.reward_folder("reward")),
        ):
            record(project, kind, path, {})
        record(project, "policy", run / "policy", {})
        assert list(faults(store)) == []
    found = verify(project, noted)
    assert len(found.faults) == 2 and all("rewritten since" in fault for fault in found.faults)
    assert verify(project, found.head.hash).faults == found.faults[1:]


def test_an_entry_that_is_cut_out_or_changed_shows(project):
    with FeedbackStore.open(project.store_path) as store, store.transaction() as c:
        trigger = "audit_log_update" if c.dialect.name == "sqlite" else "audit_log_only_grows ON audit_log"
        c.exec_driver_sql(f"DROP TRIGGER {trigger}")
        c.exec_driver_sql("UPDATE audit_log SET about = 'rewards/other' WHERE event = 2")
    assert any("entry 2 was changed" in fault for fault in verify(project).faults)


def test_a_parent_that_is_none_of_those_recorded_is_told(project):
    reward = project.reward_folder("reward")
    file = next(reward.glob("*.json"))
    file.write_text(file.read_text() + " ")
    other = project.folder / "runs" / "align-002" / "policy"
    other.mkdir(parents=True)
    change(other / "model.safetensors")
    with FeedbackStore.open(project.store_path) as store, store.transaction() as c:
        from trueline.feedback.accounts.log import write_plain

        sha, files = digest(other)
        parent = {"path": "rewards/reward", "sha256": digest(reward)[0], "inside": True}
        details = {"kind": "policy", "path": "runs/align-002/policy", "sha256": sha, "files": files}
        write_plain(c, 0.0, "record", "runs/align-002/policy", **details, parents={"reward": parent})
    said = "runs/align-002/policy: its reward rewards/reward is none of those that were recorded (entry 4)"
    assert said in verify(project).faults


def test_an_artefact_is_recorded_once_and_what_was_changed_is_not_recorded_as_right(project):
    policy = project.folder / "runs/align-001/policy"
    for _ in range(3):
        record(project, "policy", policy, {})
        record(project, "policy", policy, {}, again=True)
    assert verify(project).head.entries == 3
    tampered_policy(project)
    record(project, "policy", policy, {})  # a stage gone through again
    assert verify(project).head.entries == 3 and verify(project).faults
    record(project, "policy", policy, {}, again=True)  # made anew
    assert verify(project).head.entries == 4 and not verify(project).faults


def test_a_reward_that_is_learned_again_is_no_fault_of_what_came_from_the_first(project):
    with FeedbackStore.open(project.store_path) as store:
        store.add(*feedback(44))
    fit_reward(project, project.reward_folder("reward"), set())
    found = verify(project)
    assert found.faults == () and found.head.entries == 5


def test_an_old_project_without_entries_says_what_is_unrecorded(tmp_path):
    folder = tmp_path / "old"
    (folder / "runs" / "align-001" / "policy").mkdir(parents=True)
    (folder / "trueline.toml").write_text(render(Config()))
    project = Project.open(folder)
    with pytest.raises(InputError, match="no store"):
        verify(project)
    with FeedbackStore.open(project.store_path):
        pass
    found = verify(project)
    assert found.faults == () and found.notes[0].startswith("runs/align-001/policy: not recorded")


def test_words_of_the_log_are_sealed_and_can_go_only_with_an_entry(store):
    with store.transaction() as c:
        first = write(c, 1.0, "ann", "change account", "bob", role="admin")
        raw = c.exec_driver_sql("SELECT who, about, details FROM audit_log").all()
        assert "ann" not in str(raw) and "bob" not in str(raw)
    assert list(faults(store)) == []
    with store.transaction() as c:
        c.exec_driver_sql("DELETE FROM audit_said")
    [fault] = faults(store)
    assert f"entry {first}" in fault and "gone" in fault
    with store.transaction() as c:
        from trueline.feedback.accounts.log import write_plain

        write_plain(c, 2.0, "purge", "purge", entries=[first])
    assert list(faults(store)) == [] and head(store).entries == 2


def test_words_that_were_swapped_show(store):
    with store.transaction() as c:
        write(c, 1.0, "ann", "remove account", "bob")
        c.exec_driver_sql("UPDATE audit_said SET who = 'carl'")
    [fault] = faults(store)
    assert "was changed" in fault

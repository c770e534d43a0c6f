"""Personal data: masked as it comes in, kept no longer than is wanted, erased while the log holds."""

import json
import logging
import random
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
from inserted import measure

from trueline.config import Config, PrivacyConfig, ProjectConfig, RewardConfig, render
from trueline.errors import InputError
from trueline.feedback import jobs
from trueline.feedback import tables as t
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.accounts.log import entries, faults
from trueline.feedback.importing import import_file
from trueline.feedback.labelling.items import Item, add_items
from trueline.feedback.privacy.masking import masked
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.feedback.thumbs import Said, keep
from trueline.loop.erasing import erase, purge
from trueline.loop.fitting import fit_reward, labels_of
from trueline.loop.project import Project
from trueline.loop.verifying import verify
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

SECRET = "my card 4111 1111 1111 1111 and mail eve@example.com"
HIDDEN = "my card [card] and mail [email]"


@pytest.mark.parametrize(("mask", "expected"), [("off", SECRET), ("flag", SECRET), ("mask", HIDDEN)])
def test_a_text_is_masked_where_the_project_wants_it(mask, expected):
    assert masked(SECRET, PrivacyConfig(mask=mask)) == expected


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("电话１３８１２３４５６７８，邮箱ａｎｎａ＠ｑｑ．ｃｏｍ", "电话[phone]，邮箱[email]"),
        ("SSN 536-90-4399 and AB 12 34 56 C", "SSN [us_ssn] and [gb_nino]"),
        ("SSN 000-90-4399 and GB 12 34 56 C, part 123-45-678", None),
        # Born before their county was set up: such a number is given out all the same.
        ("身份证440305195003071238", "身份证[cn_id]"),
        ("身份证440305195003071239", None),
    ],
)
def test_forms_of_identity_numbers_and_full_width_digits(text, hidden):
    assert masked(text, PrivacyConfig(mask="mask")) == (text if hidden is None else hidden)


def rows(path, *made):
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


@pytest.mark.parametrize("mask", ["off", "flag", "mask"])
def test_an_import_masks_and_its_labels_follow_their_answers(store, tmp_path, mask):
    hh = {"chosen": f"\n\nHuman: hello, {SECRET}\n\nAssistant: write to bob@example.com",
          "rejected": f"\n\nHuman: hello, {SECRET}\n\nAssistant: no"}  # fmt: skip
    report = import_file(
        store, "hh_harmless", rows(tmp_path / "f.jsonl", hh), ("safety",), privacy=PrivacyConfig(mask=mask)
    )
    snapshot = store.snapshot()
    text = json.dumps([p.text for p in snapshot.prompts.values()] + [c.text for c in snapshot.completions.values()])
    assert ("4111" in text) is (mask != "mask") and ("[email]" in text) is (mask == "mask")
    assert report.personal == (2 if mask == "flag" else 0)
    [said] = snapshot.comparisons
    better = said.b_id if said.preference > 0 else said.a_id
    assert snapshot.completions[better].text.startswith("write to")


def test_a_row_whose_answers_differ_in_personal_data_alone_is_named(store, tmp_path):
    hh = {
        "chosen": "\n\nHuman: hi\n\nAssistant: bob@example.com",
        "rejected": "\n\nHuman: hi\n\nAssistant: eve@example.com",
    }
    path = rows(tmp_path / "f.jsonl", hh)
    [error] = import_file(store, "hh_harmless", path, ("safety",), privacy=PrivacyConfig(mask="mask")).errors
    assert "personal data alone" in error.why and error.row == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_put_into_real_dialogues_is_found_constructed(shared_data, language):
    path = shared_data(f"helpdesk/helpdesk_{language}.jsonl")
    with path.open() as file:
        said = [turn["text"] for line in file for turn in json.loads(line)["turns"] if turn["text"].strip()]
    random.Random(0).shuffle(said)
    found, n, extra = measure(said[:600], language, 1)
    for kind, counts in found.items():
        total = sum(counts.values())
        share = (counts["right"] + counts["covered"]) / total
        print(f"{language} {kind}: {share:.3f} of {total} hidden, {counts['right']} under the right name")
        assert share > 0.93, (kind, counts)
    assert len(extra) < 0.04 * n  # most of these are real numbers of the dialogues: docs/safety.md


EVE, ANN = Annotator("Eve Adams"), Annotator("ann")
CITY = "I live at 12 Elm Street in Springfield"


@pytest.fixture(params=["sqlite", "postgresql"])
def project(request, tmp_path):
    """Two people's labels, a reward learned from both, a report that shows a text, a queue, a log that names Eve."""
    return make(
        tmp_path / "shop", request.getfixturevalue("postgres").address() if request.param == "postgresql" else ""
    )


@pytest.fixture
def plain(tmp_path):
    return make(tmp_path / "shop", "")


def make(folder, url):
    config = Config(
        project=ProjectConfig(scenario="", dimensions=("quality",), store=url),
        objective={"weights": {"quality": 1.0}},
        reward=RewardConfig(features=("words",)),
        privacy=PrivacyConfig(keep_days=30),
    )
    folder.mkdir()
    (folder / "trueline.toml").write_text(render(config))
    project = Project.open(folder)
    exchanges, ratings, pairs = [], [], []
    for i in range(30):
        prompt = Prompt.from_user(CITY if i == 7 else f"where is parcel {i}?")
        two = [Exchange.of(prompt, f"a {word} reply about parcel {i}", "import:test") for word in ("kind", "rude")]
        exchanges += two
        who = EVE if i % 2 else ANN
        ratings += [Rating(e.completion.id, "quality", v, who) for e, v in zip(two, (5, 1), strict=True)]
        pairs.append(Comparison(two[0].completion.id, two[1].completion.id, "quality", -2, who))
    with FeedbackStore.open(project.store_path) as store:
        store.add(exchanges, ratings, pairs)
        add_items(store, [Item(c.completion.prompt_id, c.completion.id) for c in exchanges[12:16]], 1)
        accounts = Accounts(store)
        accounts.ensure("root", "admin")
        accounts.ensure(EVE.name, "annotator")
        accounts.change(EVE.name, "root", role="reviewer")
    fit_reward(project, project.reward_folder("reward"), set())
    run = folder / "runs" / "align-001" / "report"
    run.mkdir(parents=True)
    (run / "report.html").write_text(f"<p>{CITY}</p><p>judged by Eve Adams</p>")
    (run / "report.json").write_text(
        json.dumps({"samples": [{"prompt": CITY}], "people": "Eve Adams (simulated), ann"})
    )
    from trueline.loop.provenance import record

    record(project, "report", run, {})
    return project


def left(project, *words):
    """Files and tables that still hold one of the words."""
    found = [
        p.relative_to(project.folder).as_posix()
        for p in project.folder.rglob("*")
        if p.is_file() and p.suffix in (".json", ".jsonl", ".html", ".md") and any(w in p.read_text() for w in words)
    ]
    with FeedbackStore.open(project.store_path) as store, store.reading() as c:
        for name in sa.inspect(c).get_table_names():
            for row in c.execute(sa.text(f'SELECT * FROM "{name}"')):
                if any(w in str(row) for w in words):
                    found.append(f"table {name}")
    return sorted(set(found))


def test_a_person_goes_from_store_files_and_log_and_the_chain_holds(project):
    before = verify(project)
    assert before.faults == ()
    told = erase(project, "", annotator="Eve Adams")
    assert told.entry == 0 and told.what.labels == {"ratings": 30, "comparisons": 15}
    assert left(project, "Eve Adams") and verify(project).faults == ()  # a dry run changes nothing
    vectors = [project.reward_folder(f"reward.{name}.safetensors") for name in ("nearest", "familiarity")]
    for path in vectors:
        path.write_bytes(b"of what she judged")
    done = erase(project, "she asked on 3 May", annotator="Eve Adams", do=True)
    assert not any(path.exists() for path in vectors)
    assert left(project, "Eve Adams", "Adams") == []
    assert done.models == ("rewards/reward",)
    assert set(done.files) == set(told.files) >= {"rewards/reward.snapshot.jsonl", "runs/align-001/report/report.json"}
    after = verify(project)
    assert after.faults == (), after.faults
    assert f"rewards/reward.snapshot.jsonl: redacted by entry {done.entry}" in after.notes
    with FeedbackStore.open(project.store_path) as store:
        assert list(faults(store)) == [] and {a.name for a in store.snapshot().annotators} == {"ann"}
        assert any(e.who == "erased" for e in entries(store))
        assert len(store.snapshot().ratings) == 30
    names = {a.name for a in FeedbackSnapshot.load(labels_of(project.reward_folder("reward"))).annotators}
    assert names == {"ann"}


def test_texts_that_hold_some_words_go_with_their_answers_and_labels(project):
    done = erase(project, "a postal address", words="elm street", do=True)
    assert len(done.what.prompts) == 1 and len(done.what.answers) == 2
    assert done.what.labels == {"ratings": 2, "comparisons": 1}
    assert left(project, "Elm Street", "Springfield") == []
    assert verify(project).faults == ()


def test_one_answer_goes_by_its_id_and_its_prompt_stays(project):
    with FeedbackStore.open(project.store_path) as store:
        answer = next(c for c in store.snapshot().completions.values() if c.text == "a rude reply about parcel 6")
    erase(project, "as was asked", text_id=answer.id, do=True)
    with FeedbackStore.open(project.store_path) as store:
        snapshot = store.snapshot()
    assert answer.id not in snapshot.completions and answer.prompt_id in snapshot.prompts
    assert left(project, "a rude reply about parcel 6") == [] and verify(project).faults == ()
    with pytest.raises(InputError, match="no prompt or answer"):
        erase(project, "again", text_id=answer.id)


def test_the_reason_in_the_log_says_no_name(project):
    erase(project, "Eve Adams wrote from eve@example.com", annotator="Eve Adams", do=True)
    assert left(project, "Eve Adams", "eve@example.com") == []


def test_what_is_erased_and_comes_back_from_a_copy_is_told(project):
    path = labels_of(project.reward_folder("reward"))
    old = path.read_bytes()
    erase(project, "a postal address", words="elm street", do=True)
    path.write_bytes(old)
    said = verify(project).faults
    assert any("was changed after it was recorded" in f for f in said)
    assert any("holds 1 prompts that were erased" in f for f in said)


def test_wrong_wishes_are_refused(plain):
    for wish, says in [
        ({}, "one of --annotator"),
        ({"annotator": "ann", "words": "abc"}, "one of --annotator"),
        ({"words": "a"}, "three characters"),
        ({"annotator": "ann", "do": True}, "--reason"),
    ]:
        with pytest.raises(InputError, match=says):
            erase(plain, "", **wish)
    assert erase(plain, "x", annotator="nobody", do=True).entry == 0
    with pytest.raises(InputError, match="nobody who can administer"):
        erase(plain, "x", annotator="root", do=True)


def test_an_erasure_killed_at_any_moment_is_finished_by_the_same_command(plain, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from trueline.loop import erasing; from trueline import durable\n"
        "from trueline.loop.project import Project\n"
        "import os, signal\n"
        "stop, calls = int(sys.argv[2]), [0]\n"
        "def counted(f):\n"
        "    def g(*a, **k):\n"
        "        calls[0] += 1\n"
        "        if calls[0] == stop: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return f(*a, **k)\n"
        "    return g\n"
        "durable.write_file = counted(durable.write_file)\n"
        "erasing.remove = counted(erasing.remove)\n"
        "erasing._note_redactions = counted(erasing._note_redactions)\n"
        "erasing.erase(Project.open(Path(sys.argv[1])), 'asked', annotator='Eve Adams', do=True)\n"
    )
    killed = 0
    for stop in (1, 2, 3, 5, 50):
        process = subprocess.run([sys.executable, "-c", code, str(plain.folder), str(stop)], capture_output=True)
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert killed >= 3
    assert left(plain, "Eve Adams") == [] and verify(plain).faults == ()
    with FeedbackStore.open(plain.store_path) as store:
        assert [e.action for e in entries(store)].count("erase") == 1


def test_what_is_older_than_the_project_keeps_it_goes(project):
    old, new = Prompt.from_user("my old question"), Prompt.from_user("my new question")
    user, day = Annotator("user:shop"), 86_400.0
    with FeedbackStore.open(project.store_path) as store:
        for prompt in (old, new):
            keep(store, user, "quality", [Said(Exchange.of(prompt, "an answer", "served:m"), 1)])
        chat = jobs.ask(store, "answer", {"messages": [{"role": "user", "content": "an old chat"}]}, "ann", 1.0)
        jobs.finish(store, chat, {"item": "x"})
        Accounts(store, clock=lambda: time.time() - 60 * day).invite("viewer", "Eve Adams")
        with store.transaction() as c:
            completion = Exchange.of(old, "an answer").completion.id
            aged = t.rating_events.update().where(t.rating_events.c.completion_id == completion)
            c.execute(aged.values(created_at=sa.text("'2020-01-01 00:00:00'")))
    assert purge(project).what.prompts == {old.id}  # a dry run
    done = purge(project, do=True)
    assert done.what.prompts == {old.id} and len(done.what.jobs) == 1 and done.secrets == 1
    assert left(project, "my old question", "an old chat", "invited by") == []
    with FeedbackStore.open(project.store_path) as store:
        assert new.id in store.snapshot().prompts and list(faults(store)) == []
        actions = {e.action: e.who for e in entries(store)}
    assert actions["invite"] == "erased" and actions["change account"] == "root"
    assert verify(project).faults == ()
    keeps_all = Project(project.folder, project.config.model_copy(update={"privacy": PrivacyConfig()}))
    with pytest.raises(InputError, match="keep_days is 0"):
        purge(keeps_all)


def test_no_log_line_repeats_what_a_text_says(caplog):
    """The one error that names a text, of a reward that is no number, names it without personal data."""
    import numpy as np

    from trueline.errors import RunError
    from trueline.records import Scores
    from trueline.reward.objective import Objective

    with caplog.at_level(logging.DEBUG), pytest.raises(RunError) as caught:
        Objective({"quality": 1.0}, 0.0, 1.0).total(Scores(("quality",), np.array([[np.nan]])), np.ones(1), [SECRET])
    assert "[card]" in str(caught.value) and "4111" not in str(caught.value) + caplog.text

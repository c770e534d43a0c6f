"""The store: labels are events, nothing goes in twice or by half, and what was acknowledged is never lost."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from trueline.errors import InputError, RunError, TruelineError
from trueline.feedback import account_tables, jobs, queue_tables, tables  # noqa: F401 (their tables belong to the metadata)
from trueline.feedback.store import Added, FeedbackStore
from trueline.records import Annotator, Comparison, Completion, Exchange, Message, Prompt, Rating

ANNA, BEN = Annotator("Anna"), Annotator("Ben")


def rating(exchange, value, annotator=ANNA, dimension="quality"):
    return Rating(exchange.completion.id, dimension, value, annotator)


def comparison(a, b, preference, annotator=ANNA, both_bad=False):
    return Comparison(a.completion.id, b.completion.id, "quality", preference, annotator, both_bad)


def test_what_goes_in_comes_out(store):
    turns = (Message("system", "be kind"), Message("user", "你好 \x00 ' \" 😀"))
    prompt = Prompt(turns, {"order": "1234", "tags": ["a"]})
    exchange = Exchange.of(prompt, "answer\nwith lines \x00 \ufdd0", "policy:base", "length")
    added = store.add([exchange], [rating(exchange, None)], prompts=[Prompt.from_user("alone")])
    assert added == Added(prompts=2, completions=1, ratings=1)
    found = store.snapshot()
    assert found.exchange(exchange.completion.id) == exchange
    assert found.prompts[prompt.id].meta == prompt.meta
    assert found.ratings == (rating(exchange, None),)
    assert {p.id for p in store.prompts()} == {prompt.id, Prompt.from_user("alone").id}


def test_nothing_goes_in_twice(store, exchanges):
    labels = [rating(exchanges[0], 4)], [comparison(exchanges[0], exchanges[1], 2)]
    assert store.add(exchanges, *labels) == Added(3, 6, 1, 1)
    assert store.add(exchanges + exchanges, *labels) == Added()
    assert store.counts() == {
        "prompts": 3, "completions": 6, "annotators": 1, "rating_events": 1, "comparison_events": 1
    }  # fmt: skip


def test_a_changed_label_is_a_new_event_and_the_newest_counts(store, exchanges):
    store.add(exchanges, [rating(exchanges[0], 4)], [comparison(exchanges[0], exchanges[1], 1)])
    for value in (2, None, 4):
        assert store.add(ratings=[rating(exchanges[0], value)]).ratings == 1
        assert [r.value for r in store.snapshot().ratings] == [value]
    assert store.add(comparisons=[comparison(exchanges[0], exchanges[1], 1, both_bad=True)]).comparisons == 1
    with store.engine.connect() as c:
        values = c.execute(sa.select(tables.rating_events.c.value).order_by(tables.rating_events.c.event)).scalars()
        assert list(values) == [4, 2, None, 4]
        bad = c.execute(sa.select(tables.comparison_events.c.both_bad)).scalars()
        assert list(bad) == [False, True]


def test_people_and_dimensions_have_labels_of_their_own(store, exchanges):
    labels = [rating(exchanges[0], 1), rating(exchanges[0], 2, BEN), rating(exchanges[0], 3, ANNA, "safety")]
    store.add(exchanges, labels)
    assert set(store.snapshot().ratings) == set(labels)


def test_a_pair_has_one_label_whichever_side_was_shown_first(store, exchanges):
    a, b = exchanges[:2]
    assert store.add(exchanges, comparisons=[comparison(a, b, 2)]).comparisons == 1
    assert store.add(comparisons=[comparison(b, a, -2)]).comparisons == 0
    assert store.add(comparisons=[comparison(b, a, 3)]).comparisons == 1
    [found] = store.snapshot().comparisons
    preference_for_b = found.preference if found.b_id == b.completion.id else -found.preference
    assert preference_for_b == -3
    assert found.annotator == ANNA and {found.a_id, found.b_id} == {a.completion.id, b.completion.id}


@pytest.mark.parametrize("value", [0, 6, -1, 2.5])
def test_a_rating_outside_1_to_5_is_refused(store, exchanges, value):
    with pytest.raises(InputError, match="must be 1 to 5"):
        store.add(exchanges, [rating(exchanges[0], value)])


@pytest.mark.parametrize("preference", [4, -4, 0.5])
def test_a_preference_outside_3_is_refused(store, exchanges, preference):
    with pytest.raises(InputError, match="must be -3 to 3"):
        store.add(exchanges, comparisons=[comparison(exchanges[0], exchanges[1], preference)])


def test_labels_of_what_is_not_there_are_refused(store, exchanges):
    store.add(exchanges[:1])
    with pytest.raises(InputError, match=exchanges[2].completion.id):
        store.add(ratings=[rating(exchanges[2], 3)])
    with pytest.raises(InputError, match="not in the store"):
        store.add(comparisons=[comparison(exchanges[0], exchanges[1], 1)])


def test_comparisons_across_prompts_or_with_itself_are_refused(store, exchanges):
    with pytest.raises(InputError, match="different prompts"):
        store.add(exchanges, comparisons=[comparison(exchanges[0], exchanges[2], 1)])
    with pytest.raises(InputError, match="itself"):
        store.add(exchanges, comparisons=[comparison(exchanges[0], exchanges[0], 1)])


def test_all_or_nothing(store, exchanges):
    """The bad label comes last: what stands before it must not stay."""
    good = [rating(e, 3) for e in exchanges]
    for bad in ({"ratings": [*good, Rating("0" * 16, "quality", 3, ANNA)]},
                {"ratings": good, "comparisons": [comparison(exchanges[0], exchanges[2], 1)]}):  # fmt: skip
        with pytest.raises(InputError):
            store.add(exchanges, **bad)
        assert set(store.counts().values()) == {0}


def test_simulated_and_human_labels_never_share_a_name(store, exchanges):
    """A simulated label under a person's name would pass as a person's, and the other way round."""
    person, simulated = Annotator("sim-01"), Annotator("sim-01", simulated=True)
    store.add(exchanges, [rating(exchanges[0], 3, simulated)])
    with pytest.raises(InputError, match="sim-01"):
        store.add(ratings=[rating(exchanges[1], 3, person)])
    with pytest.raises(InputError, match="Ben"):
        store.add(ratings=[rating(exchanges[1], 3, BEN), rating(exchanges[2], 3, Annotator("Ben", simulated=True))])
    assert store.snapshot().ratings == (rating(exchanges[0], 3, simulated),)


def test_more_rows_than_one_statement_takes(store):
    many = [Exchange.of(Prompt.from_user(f"q {i}"), "a") for i in range(2500)]
    labels = [rating(e, 1 + i % 5) for i, e in enumerate(many)]
    assert store.add(many, labels) == Added(2500, 2500, 2500, 0)
    assert store.add(many, labels) == Added()
    assert set(store.snapshot().ratings) == set(labels)


def test_sqlite_is_set_up_to_keep_acknowledged_labels(file_store):
    store = file_store
    names = ("journal_mode", "synchronous", "foreign_keys")
    with store.engine.connect() as c:
        pragmas = {name: c.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def differences(engine, metadata=tables.metadata):
    with engine.connect() as c:
        context = MigrationContext.configure(c, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)


def test_a_fresh_store_has_the_tables_that_the_code_speaks_of(store):
    assert differences(store.engine) == []


def test_the_comparison_of_tables_sees_a_missing_column(store):
    changed = sa.MetaData()
    for table in tables.metadata.tables.values():
        table.to_metadata(changed)
    changed.tables["prompts"].append_column(sa.Column("language", sa.String(10)))
    assert [d[0] for d in differences(store.engine, changed)] == ["add_column"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rating_events (completion_id, dimension, annotator, value) VALUES ('{a}', 'q', 'Anna', 6)",
        "INSERT INTO rating_events (completion_id, dimension, annotator, value) VALUES ('nowhere', 'q', 'Anna', 3)",
        "INSERT INTO rating_events (completion_id, dimension, annotator, value) VALUES ('{a}', 'q', 'nobody', 3)",
        "INSERT INTO comparison_events (a_id, b_id, dimension, annotator, preference, both_bad)"
        " VALUES ('{a}', '{b}', 'q', 'Anna', 4, false)",
        "INSERT INTO comparison_events (a_id, b_id, dimension, annotator, preference, both_bad)"
        " VALUES ('{b}', '{a}', 'q', 'Anna', 1, false)",
    ],
)
def test_the_database_itself_refuses_what_the_code_would(store, exchanges, statement):
    store.add(exchanges, [rating(exchanges[0], 3)])
    a, b = sorted(e.completion.id for e in exchanges[:2])
    with pytest.raises(sa.exc.IntegrityError), store.engine.begin() as c:
        c.exec_driver_sql(statement.format(a=a, b=b))


def test_opening_again_keeps_everything(place, exchanges):
    with FeedbackStore.open(place) as first:
        first.add(exchanges, [rating(exchanges[0], 5)])
        before = first.snapshot()
    with FeedbackStore.open(place) as again:
        assert again.snapshot() == before and again.snapshot().sha256 == before.sha256
    with FeedbackStore.open(f"sqlite:///{place}" if isinstance(place, Path) else place) as by_url:
        assert by_url.snapshot() == before


def refused(place):
    with pytest.raises(InputError) as caught:
        FeedbackStore.open(place)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_places_that_are_no_store(tmp_path):
    """One line each, and the file stays as it was."""
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look like one" * 40)
    before = text.read_bytes()
    assert str(text) in refused(text)
    assert text.read_bytes() == before
    assert "notes.txt" in refused(text / "feedback.db")
    assert "nosql" in refused("nosql://somewhere")


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    FeedbackStore.open(tmp_path / "f.db").close()
    with sqlite3.connect(tmp_path / "f.db") as c:
        c.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in refused(tmp_path / "f.db")


def test_another_programs_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as c:
        c.execute("CREATE TABLE prompts (x)")
    with pytest.raises(TruelineError) as caught:
        FeedbackStore.open(tmp_path / "other.db")
    assert "\n" not in str(caught.value)
    with sqlite3.connect(tmp_path / "other.db") as c:
        assert c.execute("SELECT name FROM sqlite_master").fetchall() == [("prompts",)]


@pytest.mark.parametrize("name", ["with space", "a?b=c", "a%20b", "a#b", "客服"])
def test_any_folder_name_will_do(tmp_path, name):
    FeedbackStore.open(tmp_path / name / "feedback.db").close()
    assert (tmp_path / name / "feedback.db").is_file()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_full_disk_is_one_line_and_leaves_the_store_whole(file_store, exchanges):
    store = file_store
    store.add(exchanges[:2])
    before = store.snapshot()

    @sa.event.listens_for(store.engine, "begin")
    def shrink(connection):
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")

    many = [Exchange.of(Prompt.from_user(f"q {i}"), "long " * 200) for i in range(200)]
    with pytest.raises(RunError, match="full"):
        store.add(many)
    assert store.snapshot() == before


WRITER = """
import sys
from trueline.feedback.store import FeedbackStore
from trueline.records import Annotator, Completion, Exchange, Prompt, Rating

place, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with FeedbackStore.open(place) as store:
    for i in range(count):
        shared = Exchange.of(Prompt.from_user(f"question {i}"), "answer")
        store.add([shared], [Rating(shared.completion.id, "quality", 1 + i % 5, Annotator(name))])
        print(i, flush=True)
"""


def writer(place, name, count):
    command = [sys.executable, "-c", WRITER, str(place), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_opening_waits_while_another_process_makes_the_file(tmp_path):
    """SQLite itself does not wait for the switch to WAL: it says "database is locked" at once."""
    place = tmp_path / "feedback.db"
    other = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE x (y)")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.execute, ("ROLLBACK",))
    release.start()
    with FeedbackStore.open(place) as store:
        assert set(store.counts().values()) == {0}
    release.join()
    other.close()


def test_concurrent_writers_lose_nothing(place):
    """Four processes make the store, and write the same texts with labels of their own, at the same time."""
    names, count = ["anna", "ben", "clara", "david"], 40
    processes = [writer(place, name, count) for name in names]
    assert [p.wait(timeout=120) for p in processes] == [0] * 4
    for p in processes:
        p.stdout.close()
    with FeedbackStore.open(place) as store:
        assert store.counts()["prompts"] == store.counts()["completions"] == count
        found = {(r.annotator.name, r.completion_id, r.value) for r in store.snapshot().ratings}
    expected = {
        (name, Completion(Prompt.from_user(f"question {i}").id, "answer").id, 1 + i % 5)
        for name, i in itertools.product(names, range(count))
    }
    assert found == expected


def test_a_killed_writer_loses_no_acknowledged_label(place):
    process = writer(place, "anna", 1_000_000)
    acknowledged = [int(process.stdout.readline()) for _ in range(60)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().splitlines()]
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    with FeedbackStore.open(place) as store:
        snapshot = store.snapshot()
        there = {snapshot.exchange(r.completion_id).prompt.messages[0].content for r in snapshot.ratings}
        assert {f"question {i}" for i in acknowledged} <= there
        assert len(snapshot.completions) == len(snapshot.ratings)
        extra = Exchange.of(Prompt.from_user("after"), "the crash")
        assert store.add([extra], [rating(extra, 5)]) == Added(1, 1, 1, 0)
        if store.engine.dialect.name == "sqlite":
            with store.engine.connect() as c:
                assert c.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"

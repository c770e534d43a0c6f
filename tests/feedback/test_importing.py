"""Importing: the files that people have, as they are; good rows go in once, bad rows are named."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from trueline.errors import InputError
from trueline.feedback.importing import import_file
from trueline.feedback.screening.personal import masked
from trueline.feedback.screening.screen import overview, personal_of, traits_of
from trueline.feedback.store import Added
from trueline.records import DIMENSIONS, Exchange, Prompt


def bring(store, name, path, **more):
    return import_file(store, name, path, DIMENSIONS, **more)


def test_good_rows_go_in_and_bad_rows_are_named(store, tmp_path):
    rows = [
        {"prompt": "a", "completion": "x", "ratings": {"quality": 5}, "annotator": "Anna"},
        {"prompt": "b", "completion": "x", "ratings": {"quality": 9}, "annotator": "Anna"},
        "{broken",
        {"prompt": "c", "completion": "x", "ratings": {"quality": 1}, "annotator": "Anna"},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    report = bring(store, "jsonl", path)
    assert (report.added, report.rows_read) == (Added(2, 2, 2, 0), 4)
    first, second = map(str, report.errors)
    assert first == f"{path}, line 2: quality is 9, must be 1 to 5 or empty"
    assert second.startswith(f"{path}, line 3: is not valid JSON")
    assert sorted(r.value for r in store.snapshot().ratings) == [1, 5]
    again = bring(store, "jsonl", path)
    assert again.added == Added() and again.errors == report.errors


def test_a_label_that_contradicts_an_earlier_row_is_named_and_the_first_counts(store, tmp_path):
    """Pairs too, also where the second row shows them the other way round; a repetition is no contradiction."""
    pairs = [{"prompt": "p", "response": r} for r in (["x", "y"], ["y", "x"], ["x", "y"], ["x", "z"])]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(pairs))
    report = bring(store, "pku_saferlhf", path)
    [error] = report.errors
    assert str(error).startswith(f"{path}, row 2: contradicts row 1")
    assert report.added == Added(1, 3, 0, 2)
    snapshot = store.snapshot()
    texts = {i: c.text for i, c in snapshot.completions.items()}
    won = {
        (texts[c.a_id], texts[c.b_id]) if c.preference < 0 else (texts[c.b_id], texts[c.a_id])
        for c in snapshot.comparisons
    }
    assert won == {("x", "y"), ("x", "z")}


def test_contradictions_are_found_across_batches_and_people_may_differ(store, tmp_path):
    rows = [{"prompt": "p", "completion": "x", "ratings": {"quality": 5}, "annotator": f"p{i}"} for i in range(1200)]
    rows += [{"prompt": "p", "completion": "x", "ratings": {"quality": 1}, "annotator": "p3"}]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    seen = []
    report = bring(store, "jsonl", path, on_progress=seen.append)
    assert [e.row for e in report.errors] == [1201] and "line 4" in str(report.errors[0])
    assert report.added == Added(1, 1, 1200, 0)
    assert [p.rows for p in seen] == [1000, 1201] and seen[-1].place == seen[-1].size == path.stat().st_size


def test_a_second_file_may_change_its_mind(store, tmp_path):
    for value in (2, 4):
        row = {"prompt": "p", "completion": "x", "ratings": {"quality": value}}
        (tmp_path / "x.jsonl").write_text(json.dumps(row))
        assert bring(store, "jsonl", tmp_path / "x.jsonl").added.ratings == 1
    assert [r.value for r in store.snapshot().ratings] == [4]


def test_an_unknown_format_is_named_with_the_nearest(store, tmp_path):
    with pytest.raises(InputError, match="did you mean 'hh_harmless'"):
        bring(store, "hh_harmles", tmp_path / "x")


def test_a_file_of_no_use_changes_nothing(store, tmp_path):
    (tmp_path / "x.json").write_text('[{"prompt": "p", "response": ["a", "b"]}')
    with pytest.raises(InputError, match="not valid JSON"):
        bring(store, "pku_saferlhf", tmp_path / "x.json")
    assert set(store.counts().values()) == {0}


def twice(store, name, path):
    """Import a real file; the second time must add nothing and say the same."""
    report = bring(store, name, path)
    again = bring(store, name, path)
    assert again.added == Added() and again.errors == report.errors
    return report


def reasons(report):
    return Counter(e.why.split(" row")[0] for e in report.errors)


def test_hh_harmless_as_it_is(store, shared_data):
    path = shared_data("hh_harmless/harmless-base.jsonl")
    report = twice(store, "hh_harmless", path)
    assert report.rows_read == 1312
    assert report.added.comparisons + len(report.errors) == 1312
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    blank = sum(any(text.rstrip().endswith("\n\nAssistant:") for text in row.values()) for row in rows)
    assert blank == len(report.errors) - reasons(report)["chosen and rejected answer different dialogues"] == 4
    snapshot = store.snapshot()
    chosen = {c.a_id if c.preference < 0 else c.b_id for c in snapshot.comparisons}
    texts = {snapshot.completions[i].text for i in chosen}
    assert sum(row["chosen"].rsplit("\n\nAssistant:", 1)[1].strip() in texts for row in rows) >= 1307


def test_pku_saferlhf_as_it_is(store, shared_data):
    path = shared_data("pku_saferlhf/saferlhf_5k.json")
    report = twice(store, "pku_saferlhf", path)
    rows = json.loads(path.read_text("utf-8"))
    directed = {(r["prompt"], *r["response"]) for r in rows}
    pairs = {(r["prompt"], frozenset(r["response"])) for r in rows}
    assert (report.rows_read, len(directed)) == (5135, 3590)
    assert report.added.prompts == 930
    assert report.added.comparisons == len(pairs) == 3446
    assert set(reasons(report)) == {"contradicts"}
    assert {e.unit for e in report.errors} == {"row"}
    contradicted = {(p, pair) for p, pair in pairs if {(p, *pair), (p, *reversed([*pair]))} <= directed}
    assert len(contradicted) == 3590 - 3446


@pytest.mark.parametrize(("language", "n"), [("en", 1172), ("zh", 3200)])
def test_helpdesk_as_it_is(store, shared_data, language, n):
    """Nearly all dialogues go in, 19 people each; means and spread are those of the file."""
    path = shared_data(f"helpdesk/helpdesk_{language}.jsonl")
    report = twice(store, "helpdesk", path)
    assert report.rows_read == n
    assert len(report.errors) <= 0.01 * n
    assert set(reasons(report)) <= {"has no helpdesk turn that answers a customer"}
    snapshot = store.snapshot()
    assert report.added.ratings == 19 * report.added.completions
    assert len(snapshot.annotators) == 19
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    raw = Counter(r["A"] + 3 for row in rows for r in row["ratings"])
    found = Counter(r.value for r in snapshot.ratings)
    assert sum((raw - found).values()) <= 19 * (n - report.added.completions)
    assert not found - raw


@pytest.mark.parametrize("part", ["train", "val"])
def test_diasafety_as_it_is(store, shared_data, part):
    path = shared_data(f"diasafety/{part}.json")
    report = twice(store, "diasafety", path)
    rows = json.loads(path.read_text("utf-8"))
    labels = {(r["context"], r["response"]): r["label"] for r in rows if r["response"].strip()}
    assert report.rows_read == len(rows)
    assert len(report.errors) == sum(not r["response"].strip() for r in rows)
    snapshot = store.snapshot()
    for rating in snapshot.ratings:
        exchange = snapshot.exchange(rating.completion_id)
        label = labels[exchange.prompt.messages[0].content, exchange.completion.text]
        assert rating.value == {"Safe": 5, "Unsafe": 1}[label]


LONG = "I would like to know where my parcel is, it was sent last week and nobody tells me anything"


def lines(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_near_copies_are_flagged_and_what_they_resemble_is_kept(store, tmp_path):
    path = lines(tmp_path / "x", {"prompt": LONG}, {"prompt": "something else"}, {"prompt": LONG.upper() + "!"})
    report = bring(store, "jsonl", path)
    [copy] = report.near_copies
    ids = {p.messages[0].content: p.id for p in store.prompts()}
    assert (report.near, report.skipped, report.added.prompts) == (1, 0, 3)
    assert (copy.row, copy.prompt_id, copy.resembles) == (3, ids[LONG.upper() + "!"], ids[LONG])
    with store.reading() as c:
        traits = traits_of(c, list(ids.values()))
    assert traits[copy.prompt_id].resembles.prompt_id == ids[LONG] and traits[ids[LONG]].resembles is None
    later = bring(store, "jsonl", lines(tmp_path / "y", {"prompt": f"{LONG} at all"}))
    assert [c.resembles for c in later.near_copies] == [ids[LONG]]
    assert overview(store)["resembling"] == 2 and overview(store)["languages"]["en"] >= 3


def test_near_copies_can_be_skipped_and_are_counted(store, tmp_path):
    rows = [
        {"prompt": LONG, "completion": "a"},
        {"prompt": LONG + ".", "completion": "b"},
        {"prompt": LONG, "completion": "c"},
    ]
    report = bring(store, "jsonl", lines(tmp_path / "x", *rows), near="skip")
    assert (report.near, report.skipped, report.added) == (1, 1, Added(1, 2, 0, 0))
    assert bring(store, "jsonl", tmp_path / "x", near="skip").added == Added()


def test_prompts_that_nobody_looked_at_are_looked_at_by_the_next_import(store, tmp_path):
    bring(store, "jsonl", lines(tmp_path / "x", {"prompt": LONG}), near="off")
    store.add([Exchange.of(Prompt.from_user("call +49 30 901820"), "bob@example.com")])
    report = bring(store, "jsonl", lines(tmp_path / "y", {"prompt": LONG + "."}))
    assert report.near == 1
    assert overview(store)["personal"] == {"email": 1, "phone": 1}


def test_personal_data_is_flagged_where_it_stands(store, tmp_path):
    row = {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "I am bob@example.com"}]}
    report = bring(store, "jsonl", lines(tmp_path / "x", row | {"completion": "card 4111 1111 1111 1111"}))
    assert report.personal == 2
    [prompt], [answer] = store.prompts(), store.snapshot().completions
    with store.reading() as c:
        found = personal_of(c, [prompt.id, answer])
    assert masked(prompt.messages[1].content, found[prompt.id][1]) == "I am [email]"
    assert masked("card 4111 1111 1111 1111", found[answer][0]) == "card [card]"


def test_rows_that_say_nothing_new_are_counted(store, tmp_path):
    row = {"prompt": "p", "completion": "x", "ratings": {"quality": 5}, "annotator": "Anna"}
    rows = [row, row, row | {"annotator": "Ben"}, {"prompt": "p"}, {"prompt": "q"}]
    assert bring(store, "jsonl", lines(tmp_path / "x", *rows)).repeated == 2
    assert bring(store, "jsonl", tmp_path / "x").repeated == 5
    changed = lines(tmp_path / "y", row | {"ratings": {"quality": 1}})
    assert [bring(store, "jsonl", changed).repeated for _ in range(2)] == [0, 1]


def test_a_million_bad_rows_do_not_fill_the_memory(file_store, tmp_path, monkeypatch):
    monkeypatch.setattr("trueline.feedback.importing.KEPT", 3)
    report = bring(file_store, "jsonl", lines(tmp_path / "x", *[{"prompt": ""}] * 10))
    assert (len(report.errors), report.left_out, report.rows_read) == (3, 10, 10)


@pytest.mark.slow
def test_a_large_file_takes_bounded_memory(tmp_path):
    """60 MB of rows; another process, as the peak is a process's."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from trueline.feedback.importing import import_file\n"
        "from trueline.feedback.store import FeedbackStore\n"
        "folder = Path(sys.argv[1])\n"
        "with FeedbackStore.open(folder / 'f.db') as store:\n"
        "    for name, form in (('a.json', 'pku_saferlhf'), ('b.jsonl', 'jsonl')):\n"
        "        report = import_file(store, form, folder / name, ('safety',), near='off')\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    with (tmp_path / "b.jsonl").open("w") as file:
        file.writelines(json.dumps({"prompt": f"{i} " + "x" * 30_000}) + "\n" for i in range(1_000))
    with (tmp_path / "a.json").open("w") as file:
        rows = (json.dumps({"prompt": f"{i} " + "x" * 30_000, "response": ["a", "b"]}) for i in range(1_000))
        file.write("[" + next(rows))
        file.writelines(f",\n{row}" for row in rows)
        file.write("]")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 300

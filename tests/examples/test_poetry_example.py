"""Tang verse, from poems to figures, on tiny made-up poems in the form of the source."""

import json
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pypinyin")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "poetry"
TINY = """
[project]
scenario = ""
seed = 0
dimensions = ["quality"]
[policy]
model = "policy"
max_prompt_tokens = 48
max_new_tokens = 8
[reward]
kind = "transformer"
learn_from = "comparisons"
[reward.transformer]
model = "policy"
epochs = 1
max_tokens = 64
[objective]
weights = { quality = 0 }
checks = { form = 6.0 }
[align]
steps = 2
prompts_per_step = 4
samples_per_prompt = 2
workers = 1
[evaluate]
prompts = 12
bootstrap = 100
"""
LEVEL, OBLIQUE = "山風花江天春秋雲煙人時情心城東南清明", "水月雨夜樹鳥草路雪客夢日暮晚遠靜落去"
RHYMING = "林深心音尋今吟金"


@pytest.fixture
def example(modules_of):
    return modules_of("poetry")("run")


def made_up(rng, n_lines, length):
    """Lines of any characters, the even ones in one rhyme."""
    ends = rng.sample(RHYMING, n_lines // 2)
    for i in range(n_lines):
        body = "".join(rng.choice(LEVEL + OBLIQUE) for _ in range(length - 1))
        yield body + (ends[i // 2] if i % 2 else rng.choice(OBLIQUE))


def make_data(folder: Path, n: int = 240) -> Path:
    rng = random.Random(0)
    path = folder / "tang_poems_zh" / "poems.jsonl"
    path.parent.mkdir(parents=True)
    rows = []
    for i in range(n):
        found = list(made_up(rng, *((4, 5), (4, 7), (8, 5), (8, 7))[i % 4]))
        couplets = [f"{a}，{b}。" for a, b in zip(found[::2], found[1::2], strict=True)]
        title = "".join(rng.choice(LEVEL + OBLIQUE) for _ in range(4))
        rows.append({"title": title, "author": "nobody", "lines": couplets})
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def test_what_is_read_of_the_source(example, tmp_path):
    tower = ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"]
    view = [
        "國破山河在，城春草木深。",
        "感時花濺淚，恨別鳥驚心。",
        "烽火連三月，家書抵萬金。",
        "白頭搔更短，渾欲不勝簪。",
    ]
    rows = [
        {"title": "登樓二首 一", "author": "a", "lines": tower},
        {"title": "又登", "author": "b", "lines": tower},
        {"title": "春望（一作感時）", "author": "a", "lines": view},
        {"title": "古風", "author": "a", "lines": view[:3]},
        {"title": "缺", "author": "a", "lines": ["白日□山盡，黃河入海流。", tower[1]]},
    ]
    path = tmp_path / "poems.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    found = example.read(path)
    assert [(p.title, p.form, p.rhyme) for p in found] == [
        ("登樓", "wujue", "ou"),
        ("春望", "wujue", "en"),
        ("春望", "wujue", ""),  # 簪 has left 金
    ]
    assert found[0].prompt == "以《登樓》為題作一首五言絕句，押尤韻"
    assert found[1].text == "\n".join(view[:2]) and found[2].text == "\n".join(view[2:])
    assert found[2].prompt == "以《春望》為題作一首五言絕句"


def test_nothing_is_learned_from_a_title_that_is_not_for_training(example, tmp_path):
    poems = example.read(make_data(tmp_path))
    example.convert(tmp_path / "tang_poems_zh" / "poems.jsonl", tmp_path / "a", tmp_path / "b")
    held_out = {p.title for p in poems if p.split != "train"}
    learned = [(tmp_path / half / "poems.jsonl").read_text("utf-8") for half in "ab"]
    assert held_out and not any(f"《{title}》" in text for title in held_out for text in learned)
    titles = [{p.title for p in poems if p.half == half} for half in example.HALVES]
    assert titles[0] and titles[1] and not titles[0] & titles[1]
    rows = [json.loads(line) for line in (tmp_path / "a" / "prompts.jsonl").read_text("utf-8").splitlines()]
    assert {r["prompt_meta"]["split"] for r in rows} == {"train", "validation", "test"}
    asked = {r["prompt"] for r in rows}
    assert not any(
        json.loads(line)["messages"][0]["content"] in asked for text in learned for line in text.splitlines()
    )


def test_poems_in_rare_rhymes_are_learned_from_more_often(example):
    import convert

    numbers = {"en": 500, "eng": 150, "ai": 10, "": 7}
    poems = [
        convert.Poem(f"{rhyme}{i}", f"{rhyme} {i}", "wujue", rhyme) for rhyme, n in numbers.items() for i in range(n)
    ]
    train = Counter(p.rhyme for p in poems if p.split == "train")
    said = [row["messages"][1]["content"].split(" ")[0] for row in convert.documents(poems, 4)]
    assert Counter(said) == {"en": train["en"], "eng": 4 * train["eng"], "ai": 4 * train["ai"], "": train[""]}
    assert len(convert.documents(poems)) == sum(train.values()) < len(poems)


def test_both_sides_of_a_comparison_keep_the_form_alike(example, tmp_path):
    import construct

    from trueline.evaluate.judges.verse_chinese import lines_of, reading, tones

    poems = [p for p in example.read(make_data(tmp_path)) if p.rhyme]
    lines, rng = construct.Lines(poems), np.random.default_rng(0)
    changed = 0
    for poem in poems[:40]:
        own = lines_of(poem.text)
        other = construct.shuffled(own, rng)
        assert sorted("".join(other)) == sorted("".join(own)) and tones(other) == pytest.approx(tones(own))
        assert construct.in_form(construct.write_out(other), poem.form)
        mixed = lines.mixed(poem.form, own, rng)
        assert [reading(x)[-1][0] for x in mixed[1::2]] == [reading(x)[-1][0] for x in own[1::2]]
        changed += (other != list(own)) + (mixed != list(own))
    assert changed > 70


def test_the_rhyme_book_lists_characters_that_rhyme(example, tmp_path):
    import convert

    from trueline.evaluate.judges.verse_chinese import reading

    poems = example.read(make_data(tmp_path))
    rows = [row["messages"] for row in convert.rhyme_book(poems, 30)]
    known = {"深", "林", "心", "音", "尋", "今", "吟", "金"}
    assert len(rows) == 30
    for asked, listed in rows:
        assert asked["content"] == f"列{len(listed['content'])}字，押文韻"
        assert len(set(listed["content"])) == len(listed["content"]) and set(listed["content"]) <= known
        assert {reading(c)[0][0] for c in listed["content"]} == {"en"}


def test_a_poem_keeps_its_form_only_whole(example):
    from construct import in_form

    tower = "白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。"
    assert in_form(tower, "wujue")
    assert not in_form(tower, "qijue") and not in_form(tower, "wulu")
    assert not in_form(tower.replace("樓", "塔"), "wujue")
    assert not in_form(tower.replace("更上", "更"), "wujue")


def test_copied_lines_and_rhymes_are_counted(example):
    import measure

    from trueline.records import Exchange, Prompt

    known = measure.Known.of(["白日依山盡，黃河入海流。"])
    assert known.copied("白日依山盡，欲窮千里目。") == (0.5, 0.5)
    assert known.copied("日依山盡也。") == (0.0, 0.5)
    assert known.copied("") == (0.0, 0.0)
    asked = Prompt.from_user("x", {"form": "wujue"})
    poems = (
        "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。",
        "山中一夜雨，江上有新詩。門外三秋月，窗前幾度思。",
        "無",
    )
    counts = measure.rhymes_of([Exchange.of(asked, text, "test", "stop") for text in poems])
    assert counts == {"ou": 1, "-i": 1} and measure.effective(counts) == pytest.approx(2)


def test_a_missing_source_is_named(example, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"poems.jsonl: no such file; README.md"):
        example.main()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_it_runs_from_data_to_figures_and_goes_on_where_it_stopped(example, tmp_path, monkeypatch, capfd):
    make_data(tmp_path / "data")
    here = tmp_path / "example"
    here.mkdir()
    (here / "trueline.toml").write_text(TINY)
    monkeypatch.setattr(example, "HERE", here)
    monkeypatch.setattr(example, "SIZE", ("--layers", "1", "--width", "32", "--vocabulary", "400", "--context", "112"))
    monkeypatch.setattr(example, "TRAINING", ("--batch", "8"))
    monkeypatch.setattr(example, "RHYMED", ("--first", "rhymes.jsonl", "--first-steps", "2", "--steps", "4"))
    monkeypatch.setattr(example, "READ", ("--steps", "4"))
    monkeypatch.setattr(example, "POEMS", 40)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", str(tmp_path / "data"), "--out", str(out)])
    example.main()
    found = json.loads((out / "runs" / "form-0" / "figures-test.json").read_text("utf-8"))
    assert found["titles"] > 1 and 0 <= found["keeps the form"][1]["value"] <= 1
    report = json.loads((out / "runs" / "form-0" / "report" / "report.json").read_text("utf-8"))
    assert "the form of the verse" in {row["name"] for row in report["story"]["judges"]["rows"]}
    assert "taught by what is checked by rule" in report["judge"]
    first = capfd.readouterr().out
    assert first.count("$ trueline pretrain") == 2 and first.count("$ trueline reward") == 1
    example.main()
    again = capfd.readouterr().out
    assert "$ trueline evaluate" in again and not any(
        f"$ trueline {x}" in again for x in ("pretrain", "reward", "align")
    )

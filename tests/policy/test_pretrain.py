"""Pretraining on one's own text: what is learned, going on after a kill, and unusable input."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from trueline.errors import InputError
from trueline.feedback.formats.base import RowError
from trueline.policy.corpus import IGNORED, Document, collate, keyed_order, make_rows, read_corpus
from trueline.policy.load import load_policy
from trueline.policy.pretrain import PretrainSettings, pretrain
from trueline.policy.tokenizer import train_tokenizer
from trueline.records import Message, Prompt, split_of

TINY = PretrainSettings(layers=1, width=32, vocabulary=320, steps=12, batch=4, learning_rate=5e-3, context=48)
COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink", "brown")


def chats(n=60, seed=0):
    rng = random.Random(seed)
    for _ in range(n):
        colour, size = rng.choice(COLOURS), rng.randrange(10, 99)
        yield [
            {"role": "user", "content": f"a {colour} lamp of {size} please"},
            {"role": "assistant", "content": f"Here is a {colour} lamp."},
            {"role": "user", "content": "and a box"},
            {"role": "assistant", "content": "A box too."},
        ]


def write(path: Path, lines) -> Path:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), "utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "chats.jsonl", [{"messages": m} for m in chats()])


def weights(folder: Path):
    return load_policy(folder, device="cpu").model.state_dict()


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_policy_comes_out_whole_and_the_run_folder_goes(file, tmp_path):
    lines = []
    done = pretrain(file, tmp_path / "policy", TINY, on_progress=lines.append)
    assert done.perplexity < 100 and not done.errors
    assert [p.step for p in lines] == list(range(1, 13)) and lines[-1].held_out_loss < lines[0].held_out_loss
    assert not (tmp_path / "policy-run").exists()
    assert not [p for p in (tmp_path / "policy").rglob("*") if p.suffix in {".bin", ".pt", ".pth", ".pkl"}]
    noted = json.loads((tmp_path / "policy" / "pretrain.json").read_text())
    assert noted["perplexity"] == done.perplexity and noted["steps"] == 12 and len(noted["history"]) == 12
    assert load_policy(tmp_path / "policy").tokenizer.chat_template


def test_the_same_seed_gives_the_same_weights_and_another_does_not(file, tmp_path):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(file, tmp_path / name, PretrainSettings(**{**vars(TINY), "seed": seed}))
        found.append(weights(tmp_path / name))
    assert same(found[0], found[1]) and not same(found[0], found[2])


def test_the_first_steps_learn_from_another_file(file, tmp_path):
    """Its words are the tokenizer's too, and after them the run goes on with the other text as if begun there."""
    words = [f"zebra zebra {i}" for i in range(60)]
    first = write(tmp_path / "first.jsonl", [{"text": w} for w in words])
    settings = replace(TINY, steps=40, first_steps=20, learning_rate=1e-2)
    lines = []
    pretrain(file, tmp_path / "policy", settings, on_progress=lines.append, first=first)
    held_out = {p.step: p.held_out_loss for p in lines}
    assert held_out[20] - held_out[40] > 2 * (held_out[2] - held_out[20]) and held_out[40] < held_out[2]
    policy = load_policy(tmp_path / "policy", device="cpu")
    assert len(policy.tokenizer.encode(" zebra")) == 1
    with pytest.raises(InputError, match="go together"):
        pretrain(file, tmp_path / "other", settings)
    with pytest.raises(InputError, match="go together"):
        pretrain(file, tmp_path / "other", replace(settings, first_steps=40), first=first)


@pytest.mark.parametrize("first_steps", [0, 3, 8])
def test_stopped_between_two_steps_it_ends_in_the_same_weights(file, tmp_path, first_steps):
    first = write(tmp_path / "first.jsonl", [{"messages": m} for m in chats(seed=1)]) if first_steps else None
    run = partial(pretrain, file, settings=replace(TINY, first_steps=first_steps), first=first)
    run(out=tmp_path / "whole")

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path / "cut", on_progress=stop)
    assert not (tmp_path / "cut").exists()
    assert [p.name for p in (tmp_path / "cut-run").glob("checkpoint-*")] == ["checkpoint-5"]
    (tmp_path / "cut-run" / ".pending-checkpoint-6").mkdir()
    lines = []
    run(out=tmp_path / "cut", on_progress=lines.append)
    assert [p.step for p in lines] == list(range(6, 13))
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    history = [json.loads((tmp_path / n / "pretrain.json").read_text())["history"] for n in ("whole", "cut")]
    assert [[r["step"], r["loss"], r["held_out_loss"]] for r in history[0]] == [
        [r["step"], r["loss"], r["held_out_loss"]] for r in history[1]
    ]


@pytest.mark.slow
def test_killed_again_and_again_it_ends_in_the_same_weights(file, tmp_path):
    command = [
        sys.executable, "-c", "from trueline.cli.main import main; main()", "pretrain", str(file), "--layers", "1",
        "--width", "32", "--vocabulary", "320", "--steps", "60", "--batch", "4", "--context", "48", "--out",
    ]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=env, stdout=subprocess.DEVNULL)
    rng, kills = random.Random(3), 0
    while not (tmp_path / "cut").exists():
        process = psutil.Popen([*command, str(tmp_path / "cut")], env=env, stdout=subprocess.DEVNULL)
        before = {p.name for p in (tmp_path / "cut-run").glob("checkpoint-*")}
        while process.poll() is None and kills < 4:
            if {p.name for p in (tmp_path / "cut-run").glob("checkpoint-*")} - before:
                time.sleep(rng.random() * 0.2)
                process.kill()
                kills += 1
                break
            time.sleep(0.02)
        process.wait()
    assert kills >= 2
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_other_settings_do_not_go_on_with_a_stopped_run(file, tmp_path):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(file, tmp_path / "p", TINY, on_progress=stop)
    with pytest.raises(InputError, match="steps 12, not 13"):
        pretrain(file, tmp_path / "p", PretrainSettings(**{**vars(TINY), "steps": 13}))
    write(file, [{"messages": m} for m in chats(seed=1)])
    with pytest.raises(InputError, match="sha256"):
        pretrain(file, tmp_path / "p", TINY)


def test_a_taken_folder_is_left_alone(file, tmp_path):
    (tmp_path / "p").mkdir()
    with pytest.raises(InputError, match="exists already"):
        pretrain(file, tmp_path / "p", TINY)


def test_bad_lines_are_named_and_good_ones_used(tmp_path):
    bad = [
        '{"text": ""}', "{", '{"prompt": "a"}', '{"messages": "hello"}',
        '{"messages": [{"role": "bot", "content": "a"}]}', '{"messages": [{"role": "user", "content": "a"}]}', "[1]",
    ]  # fmt: skip
    file = write(tmp_path / "mixed.jsonl", [*({"messages": m} for m in chats()), *bad, {"text": "a red box"}])
    with open(file, "ab") as handle:
        handle.write(b'{"text": "\xff"}\n')
    done = pretrain(file, tmp_path / "p", TINY)
    assert [e.row for e in done.errors] == [61, 62, 63, 64, 65, 66, 67, 69]
    assert "no text" in str(done.errors[0]) and "mixed.jsonl, line 61" in str(done.errors[0])
    for place, why in ((2, "neither"), (5, "no assistant turn"), (7, "UTF-8")):
        assert why in done.errors[place].why


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (None, {}, "cannot be read"),
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ('{"prompt": 1}\n', {}, "no line can be used"),
        ('{"text": "a b c"}\n', {}, "are too few"),
        ("".join(json.dumps({"text": f"lamp {i}"}) + "\n" for i in range(60)), {"batch": 64}, "lower --batch"),
        ('{"text": "a b c"}\n', {"width": 33}, "multiple of 32"),
    ],
)
def test_unusable_input_is_one_line(tmp_path, content, settings, message):
    file = tmp_path / "x.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        pretrain(file, tmp_path / "p", PretrainSettings(**{**vars(TINY), **settings}))
    assert "\n" not in str(error.value)
    assert {p.name for p in tmp_path.iterdir()} <= {"x.jsonl"}


def test_only_assistant_turns_are_learned():
    tokenizer = train_tokenizer(["hello lamp box"] * 5, 320)
    chat = Document((Message("system", "be kind"), Message("user", "a lamp"), Message("assistant", "a box")))
    (row,) = make_rows(tokenizer, [chat], 64)
    learned = [i for i in row.labels if i != IGNORED]
    assert tokenizer.decode(learned) == "a box<|end|>" and row.labels[-len(learned) :] == learned
    assert tokenizer.decode(row.ids) == "<|system|>be kind<|user|>a lamp<|assistant|>a box<|end|>"


def test_long_chats_are_cut_behind_assistant_turns_and_nothing_learned_is_lost():
    tokenizer = train_tokenizer(["hello lamp box"] * 5, 320)
    turns = [m for i in range(9) for m in (Message("user", f"lamp {i}"), Message("assistant", f"box {i}"))]
    rows = make_rows(tokenizer, [Document((*turns, Message("user", "never answered")))], 40)
    assert len(rows) > 2 and all(len(r.ids) <= 40 and len(r.ids) == len(r.labels) for r in rows)
    assert all(tokenizer.decode(r.ids).startswith("<|user|>") for r in rows)
    said = "".join(tokenizer.decode([i for i in r.labels if i != IGNORED]) for r in rows)
    assert said == "".join(f"box {i}<|end|>" for i in range(9))


def test_an_exchange_longer_than_the_context_loses_its_oldest_tokens():
    tokenizer = train_tokenizer(["hello lamp box"] * 5, 320)
    (row,) = make_rows(tokenizer, [Document((Message("user", "x" * 99), Message("assistant", "box")))], 20)
    assert len(row.ids) == 20 and row.ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode([i for i in row.labels if i != IGNORED]) == "box<|end|>"


def test_plain_text_is_learned_whole_and_its_tokenizer_has_no_roles(tmp_path):
    file = tmp_path / "tales.txt"
    file.write_text("\n\n".join(f"once a {COLOURS[i % 8]} lamp\nmet box {i} <|end|>" for i in range(60)), "utf-8")
    documents = list(read_corpus(file))
    assert len(documents) == 60 and documents[0].text == "once a red lamp\nmet box 0 <|end|>"
    pretrain(file, tmp_path / "p", TINY)
    policy = load_policy(tmp_path / "p")
    assert "<|user|>" not in policy.tokenizer.get_vocab() and not policy.tokenizer.chat_template
    rows = make_rows(policy.tokenizer, documents[:1], 10)
    assert [i for r in rows for i in r.ids].count(policy.tokenizer.eos_token_id) == 1
    assert all(r.labels == [IGNORED, *r.ids[1:]] for r in rows)


def test_with_characters_no_token_spans_two_chinese_characters():
    text = "白日依山盡，黃河入海流。\nA lamp of 4821 白日"
    whole, apart = (train_tokenizer([text] * 9, 400, characters=characters) for characters in (False, True))

    def spans(tokenizer):
        tokens = [tokenizer.decode([i]) for i in range(len(tokenizer))]
        return [t for t in tokens if sum("\u4e00" <= c <= "\u9fff" for c in t) > 1]

    assert spans(whole) and not spans(apart)
    assert len(apart.encode("白日依山盡")) == 5 > len(whole.encode("白日依山盡"))
    assert all(t.decode(t.encode(text)) == text for t in (whole, apart))
    rare = "𠮷龘"  # in no text that it learned from
    assert apart.decode(apart.encode(rare)) == rare


def test_a_txt_paragraph_that_is_not_utf8_is_named_by_its_line(tmp_path):
    file = tmp_path / "x.txt"
    file.write_bytes(b"one\ntwo\n\n\xff\n\nthree")
    found = list(read_corpus(file))
    assert [isinstance(x, RowError) for x in found] == [False, True, False]
    assert found[1].row == 4


def test_prompts_of_the_test_split_are_held_out():
    chat = Document(tuple(Message(m["role"], m["content"]) for m in next(chats())))
    assert chat.split == split_of(Prompt(chat.messages[:1])) == split_of(Prompt(chat.messages[:3]))


def test_every_pass_takes_each_row_at_most_once_and_batches_have_like_lengths():
    lengths = [random.Random(i).randrange(5, 200) for i in range(330)]
    order = keyed_order(lengths, 16, 45, 0)
    assert len(order) == 45 * 16 and order == keyed_order(lengths, 16, 45, 0) != keyed_order(lengths, 16, 45, 1)
    first, second = order[: 20 * 16], order[20 * 16 : 40 * 16]
    assert len(set(first)) == len(set(second)) == 320 and first != second
    padded = sum(16 * max(lengths[i] for i in order[k : k + 16]) for k in range(0, len(order), 16))
    assert padded < 1.25 * sum(lengths[i] for i in order)


def test_padding_is_neither_seen_nor_learned():
    tokenizer = train_tokenizer(["hello lamp box"] * 5, 320)
    rows = make_rows(tokenizer, [Document(text="lamp"), Document(text="lamp box hello box lamp")], 40)
    batch = collate(rows, tokenizer.pad_token_id)
    padding = batch["attention_mask"] == 0
    assert padding.any() and (batch["labels"][padding] == IGNORED).all()
    assert (batch["input_ids"][padding] == tokenizer.pad_token_id).all()

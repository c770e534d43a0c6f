"""What is found in texts that come in: languages, personal data, near copies; and maps that stay small."""

import random

import numpy as np
import pytest

from trueline.feedback.screening.compact import NEWEST, NONE, CompactMap
from trueline.feedback.screening.language import language_of
from trueline.feedback.screening.near import Neighbours, Resemblance
from trueline.feedback.screening.personal import masked, personal_in


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my order?", "en"),
        ("Wo ist mein Paket geblieben?", "de"),
        ("Où est ma commande ?", "fr"),
        ("Где мой заказ?", "ru"),
        ("我的order在哪里？", "zh"),
        ("東京へ行きたいです", "ja"),
        ("안녕하세요", "ko"),
        ("ที่ไหน", "th"),
        ("please translate 你好 into good English for me, thank you", "en"),
        ("https://example.com/wo/ist/das 我的包裹", "zh"),
        ("hi", "und"),
        ("12345 !?", "und"),
        ("", "und"),
    ],
)
def test_languages(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail bob.smith+x@mail.example.co.uk.", "mail [email]."),
        ("邮箱a@b.cn，电话13812345678。", "邮箱[email]，电话[phone]。"),
        ("身份证11010519491231002X", "身份证[cn_id]"),
        ("身份证110105194912310021", None),
        ("card 4111 1111 1111 1111!", "card [card]!"),
        ("card 4111-1111-1111-1112", None),
        ("IBAN DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432", "IBAN [iban] and [iban]"),
        ("IBAN DE89370400440532013001", None),
        ("at 8.8.8.8 and 2001:4860:4860::8888", "at [ip] and [ip]"),
        ("192.168.1.1, 999.1.1.1, std::vector, 12:30:45", None),
        ("call +49 30 901820 or (212) 555-4567 soon", "call [phone] or [phone] soon"),
        ("I ordered 12345678 on 2024-05-06 at 10:30 for 1,234,567.89", None),
        ("", None),
    ],
)
def test_personal_data_is_found_by_what_can_be_checked(text, expected):
    assert masked(text, personal_in(text)) == (text if expected is None else expected)


def test_a_map_keeps_each_keys_first_value_however_many_there_are():
    rng, expected, found = random.Random(5), {}, CompactMap(np.uint32)
    for _ in range(30):
        keys = [rng.randrange(60_000 * 8) << 13 for _ in range(NEWEST // 8)]
        known = found.find(np.array(keys, dtype=np.uint64))
        assert known == [expected.get(k, NONE) for k in keys]
        pairs = [(k, rng.randrange(1000)) for k, v in zip(keys, known, strict=True) if v == NONE]
        for k, v in pairs:
            expected.setdefault(k, v)
        found.put(pairs)
    assert len(found) == len(expected) > NEWEST and len(found.keys)


def letters(i):
    return f"{i:016x}"


def sentence(rng, n=30):
    return " ".join("".join(rng.choices("abcdefghij", k=rng.randint(3, 8))) for _ in range(n))


def test_near_copies_are_found_across_batches_and_after_loading():
    rng = random.Random(3)
    texts = {letters(i): sentence(rng) for i in range(300)}
    first = Neighbours()
    found = first.place(texts, dict)
    assert all(isinstance(f, bytes) for f in found.values())
    later = Neighbours()
    later.load(list(found), list(found.values()))

    def changed(text):
        words = text.split()
        words[rng.randrange(len(words))] = "zzz"
        return " ".join(words).upper()

    copies = {letters(1000 + i): changed(text) for i, text in enumerate(texts.values())}
    for known in (first, later):
        seen = known.place(copies, lambda ids: {i: texts[i] for i in ids})
        right = [seen[letters(1000 + i)] for i in range(300)]
        hits = [r.prompt_id == letters(i) for i, r in enumerate(right) if isinstance(r, Resemblance)]
        assert all(hits) and len(hits) >= 290


def test_near_copies_within_a_batch_chinese_and_texts_without_words():
    zh = "我想知道我的包裹在哪里，它上周寄出，没有人告诉我任何消息"
    found = Neighbours().place({letters(1): zh, letters(2): zh + "。谢谢", letters(3): "?", letters(4): "!"}, dict)
    assert isinstance(found[letters(1)], bytes) and found[letters(1)]
    assert found[letters(2)].prompt_id == letters(1) and 0.8 <= found[letters(2)].alike < 1
    assert found[letters(3)] == found[letters(4)] == b""

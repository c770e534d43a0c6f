"""Real dialogues with personal data put in at known places. CONSTRUCTED: the numbers are made up to be valid."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from stdnum import luhn
from stdnum.cn import ric

from trueline.feedback.screening.personal import personal_in

CARRIERS = {
    "en": {
        "email": ["my email is {}", "write to {} please", "(reach me at {})"],
        "phone": ["call me at {}", "my number is {}.", "phone: {},"],
        "card": ["my card {} was charged", "card number {}", "pay with {}"],
        "iban": ["refund it to {}", "IBAN {} please"],
        "ip": ["I connect from {}", "the address {} is blocked"],
        "us_ssn": ["my SSN is {}", "social security number {}."],
        "gb_nino": ["my NI number is {}", "national insurance {}."],
    },
    "zh": {
        "email": ["我的邮箱是{}", "请发到{}，谢谢", "邮箱：{}"],
        "phone": ["我的手机号{}", "请打{}联系我", "电话：{}。"],
        "card": ["我的银行卡号是{}", "卡号{}，请退款"],
        "cn_id": ["身份证号{}", "我的身份证是{}，请查一下"],
        "ip": ["我的IP是{}", "从{}登录的"],
    },
}


def _digits(rng: random.Random, n: int) -> str:
    return "".join(str(rng.randrange(10)) for _ in range(n))


def _card(rng: random.Random) -> str:
    body = rng.choice(["4", "51", "55", "62"])
    body += _digits(rng, 15 - len(body))
    number = body + luhn.calc_check_digit(body)
    gap = rng.choice(["", " ", "-"])
    return gap.join(number[i : i + 4] for i in range(0, 16, 4))


def _chinese_id(rng: random.Random) -> str:
    region = rng.choice(["110105", "310101", "440305", "330106", "510107"])
    born = f"{rng.randrange(1950, 2010)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    body = region + born + _digits(rng, 3)
    return body + ric.calc_check_digit(body + "0")


def _iban(rng: random.Random) -> str:
    body = _digits(rng, 18)
    check = 98 - int(body + "131400") % 97  # DE is 13 14
    number = f"DE{check:02d}{body}"
    return number if rng.random() < 0.5 else " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def _email(rng: random.Random) -> str:
    name = rng.choice(["anna", "ben.li", "zhang_wei", "o-brien", "m.mueller", "x"]) + _digits(rng, rng.randrange(4))
    return f"{name}@{rng.choice(['example.com', 'mail.example.co.uk', '163.com', 'qq.com', 'uni-ulm.de'])}"


def _phone(rng: random.Random, language: str) -> str:
    if language == "zh":
        n = rng.choice(["138", "139", "150", "186", "199"]) + _digits(rng, 8)
        return rng.choice([n, f"{n[:3]} {n[3:7]} {n[7:]}", f"{n[:3]}-{n[3:7]}-{n[7:]}", f"+86 {n}"])
    area = rng.choice(["212", "415", "312", "617"])
    n = f"{area}{rng.randrange(2, 9)}{rng.randrange(10)}{rng.randrange(2, 9)}{_digits(rng, 4)}"
    us = [f"({n[:3]}) {n[3:6]}-{n[6:]}", f"{n[:3]}-{n[3:6]}-{n[6:]}", f"+1 {n[:3]} {n[3:6]} {n[6:]}", n]
    uk = "07911 1" + _digits(rng, 5)
    return rng.choice([*us, uk, f"+44 20 7946 0{_digits(rng, 3)}"])


def _ip(rng: random.Random) -> str:
    return f"{rng.choice([8, 81, 93, 104, 203])}.{rng.randrange(1, 99)}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"


def value(kind: str, language: str, rng: random.Random) -> str:
    made = {
        "email": lambda: _email(rng),
        "phone": lambda: _phone(rng, language),
        "card": lambda: _card(rng),
        "iban": lambda: _iban(rng),
        "ip": lambda: _ip(rng),
        "cn_id": lambda: _chinese_id(rng),
        "us_ssn": lambda: f"{rng.choice([212, 415, 536, 601])}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}",
        "gb_nino": lambda: rng.choice(["AB{}{}{}C", "JG {} {} {} D"]).format(*(_digits(rng, 2) for _ in range(3))),
    }
    return made[kind]()


def insert(text: str, kind: str, language: str, rng: random.Random) -> tuple[str, int, int]:
    """The text with one item in a carrier sentence, at its end or between words; where the item starts and ends."""
    item = value(kind, language, rng)
    before, after = rng.choice(CARRIERS[language][kind]).split("{}")
    cuts = [i + 1 for i, ch in enumerate(text) if ch in ".!?。！？ ，"] or [len(text)]
    at, gap = rng.choice([0, *cuts, len(text)]), "" if language == "zh" else " "
    left = text[:at] + gap + before
    return left + item + after + gap + text[at:], len(left), len(left) + len(item)


def measure(texts: list[str], language: str, seed: int) -> tuple[dict[str, Counter], int, list[str]]:
    """By kind, of the items put in: found as they are, wholly masked though named otherwise, missed. Then how many
    texts there were, and what was found that nobody put in: what that is must be looked at.
    """
    rng, found, extra = random.Random(seed), defaultdict(Counter), []
    for text in texts:
        kind = rng.choice(list(CARRIERS[language]))
        with_it, start, stop = insert(text, kind, language, rng)
        spans = personal_in(with_it)
        covering = [f for f in spans if f.start <= start and f.stop >= stop]
        right = any((f.kind, f.start, f.stop) == (kind, start, stop) for f in spans)
        found[kind]["right" if right else "covered" if covering else "missed"] += 1
        extra += [f"{f.kind}: {with_it[f.start : f.stop]}" for f in spans if f.stop <= start or f.start >= stop]
    return found, len(texts), extra

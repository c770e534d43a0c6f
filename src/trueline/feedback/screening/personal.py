"""Personal data in a text: what has a form that can be checked. Names and street addresses are not found.

| kind | how it is told |
|---|---|
| email | its form |
| cn_id | a Chinese identity number: birth date, region and check digit |
| us_ssn | an American social security number with its hyphens or blanks, of a block that is given out |
| gb_nino | a British national insurance number: its prefix, and a last letter from A to D |
| iban | country's form and checksum |
| card | a network's first digits and Luhn's checksum |
| ip | IPv4 or IPv6 that is not private, loopback or reserved |
| phone | international, or as in the countries where the text's language is spoken; valid there by phonenumbers |

Full-width digits and signs, as a Chinese keyboard gives them, are read like the others.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from trueline.feedback.screening.language import UNKNOWN, language_of

KINDS = ("email", "cn_id", "us_ssn", "gb_nino", "iban", "card", "ip", "phone")
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])", re.ASCII
)
_CN_ID = re.compile(r"(?<![0-9A-Za-z])[1-9]\d{5}(?:19|20)\d{9}[\dXx](?![0-9A-Za-z])", re.ASCII)
_US_SSN = re.compile(r"(?<![0-9A-Za-z-])\d{3}([ -])\d{2}\1\d{4}(?![0-9A-Za-z-])", re.ASCII)
_GB_NINO = re.compile(
    r"(?<![0-9A-Za-z])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]( ?)(?:\d{2}\1){3}[A-D]"
    r"(?![0-9A-Za-z])",
    re.ASCII,
)
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![0-9A-Za-z])", re.ASCII)
_CARD = re.compile(r"(?<![\d.-])(?:4|5[1-5]|2[2-7]|3[4-7]|6[0245])\d{0,3}(?:[ -]?\d{2,6}){2,5}(?![\d-])", re.ASCII)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]\w|\w)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{1,4}(?![\w:])", re.ASCII)
_DIGITS = re.compile(r"(?:[0-9][\s().\-/\u00a0]{0,3}){6}")
_HALF_WIDTH = {0xFF01 + i: 0x21 + i for i in range(94)}
REGIONS = {
    "zh": ("CN",), "en": ("US", "GB"), "de": ("DE",), "fr": ("FR",), "es": ("ES",), "it": ("IT",), "pt": ("BR", "PT"),
    "ja": ("JP",), "ko": ("KR",), "ru": ("RU",), "nl": ("NL",), "pl": ("PL",), "tr": ("TR",), "hi": ("IN",),
    "vi": ("VN",), "th": ("TH",), "id": ("ID",), "uk": ("UA",), "sv": ("SE",), "cs": ("CZ",), "he": ("IL",),
    UNKNOWN: ("US", "CN"),
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """start, stop: places in the text, in Unicode code points."""

    kind: str
    start: int
    stop: int


def personal_in(text: str) -> tuple[Found, ...]:
    """What is found, in the order of the text; where two kinds would overlap, the first of KINDS counts."""
    found: list[Found] = []
    for one in _all(text.translate(_HALF_WIDTH)):
        if not any(one.start < f.stop and f.start < one.stop for f in found):
            found.append(one)
    return tuple(sorted(found, key=lambda f: f.start))


def masked(text: str, found: Iterable[Found]) -> str:
    """The text with each place replaced by its kind in brackets."""
    for one in sorted(found, key=lambda f: -f.start):
        text = f"{text[: one.start]}[{one.kind}]{text[one.stop :]}"
    return text


def _all(text: str) -> Iterator[Found]:
    if "@" in text:
        yield from (Found("email", *m.span()) for m in _EMAIL.finditer(text))
    if text.count(":") >= 3:
        yield from _checked("ip", _IPV6, text, _public)
    if not _DIGITS.search(text):
        yield from _checked("ip", _IPV4, text, _public)
        return
    yield from _checked("cn_id", _CN_ID, text, _chinese_id)
    yield from _checked("us_ssn", _US_SSN, text, _american)
    yield from (Found("gb_nino", *m.span()) for m in _GB_NINO.finditer(text))
    yield from _checked("iban", _IBAN, text, _iban)
    yield from _checked("card", _CARD, text, _card)
    yield from _checked("ip", _IPV4, text, _public)
    yield from _phones(text)


def _checked(kind: str, pattern: re.Pattern[str], text: str, check: Callable[[str], bool]) -> Iterator[Found]:
    return (Found(kind, *m.span()) for m in pattern.finditer(text) if check(m.group()))


def _chinese_id(text: str) -> bool:
    """Not stdnum's own `is_valid`, which wants the county to have existed when the person was born: numbers are given
    out since 1984, by the counties of that time, also to people who were born long before.
    """
    from stdnum import numdb
    from stdnum.cn import ric
    from stdnum.exceptions import ValidationError

    number = ric.compact(text)
    try:
        ric.get_birth_date(number)
    except ValidationError:
        return False
    known = any(properties for _, properties in numdb.get("cn/loc").info(number[:6]))
    return known and number[-1] == ric.calc_check_digit(number)


def _american(text: str) -> bool:
    from stdnum.us import ssn

    return bool(ssn.is_valid(text.replace(" ", "-")))


def _iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text))


def _card(text: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"\D", "", text)
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _phones(text: str) -> Iterator[Found]:
    import phonenumbers

    regions: Sequence[str | None] = REGIONS.get(language_of(text), (None,))
    seen = set()
    for region in regions:
        for match in phonenumbers.PhoneNumberMatcher(text, region):
            if match.start not in seen:
                seen.add(match.start)
                yield Found("phone", match.start, match.end)

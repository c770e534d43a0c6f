"""The words of simulated users, and how they understand an assistant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")

NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo", "Mia", "Noah",
    "Olga", "Paul", "Rosa", "Sam", "Tina", "Victor",
)  # fmt: skip
TITLES = (
    "dentist", "lunch", "yoga", "interview", "haircut", "piano", "training", "review", "workshop", "football",
    "concert", "chess",
)  # fmt: skip
CITIES = ("Rome", "Paris", "Berlin", "Madrid", "Vienna", "Lisbon", "Oslo", "Dublin")
HOTELS = ("Alba", "Bristol", "Central", "Diana", "Eden", "Flora", "Grand", "Luna", "Regina", "Sol")

_OPENINGS = ("", "", "Hello!", "Hi,", "Hi, {name} here.", "This is {name}.", "Good morning,", "{name} again.")
_ASKS = ("please {do}", "can you {do}", "I want you to {do}", "{do}", "could you {do}", "I need you to {do}")
_DOES: Mapping[str, tuple[str, ...]] = {
    "add": ("put {title} in my calendar", "add {title} to my calendar", "schedule {title}", "note {title}"),
    "move": ("move {title}", "shift {title}", "reschedule {title}", "change {title}"),
    "clear": ("cancel everything", "clear my calendar", "cancel all my events", "free me of all events"),
    "hotel": ("book a hotel in {city}", "find and book a hotel in {city}", "reserve a hotel in {city}"),
    "drop": ("cancel my hotel in {city}", "drop my hotel booking in {city}", "cancel what I booked in {city}"),
    "trip": ("book a hotel in {city}", "reserve a hotel in {city}"),
}
_FACTS = {
    "day": ("on {day}",),
    "stars": ("with {stars} stars or more", "of {stars} stars or more"),
    "nights": ("for {nights} nights",),
}
_TRIP = ("and add {title} to my calendar for the first day", "and put {title} in my calendar the day I arrive")
_TELLS: Mapping[str, tuple[str, ...]] = {
    "title": ("It is {title}.", "{title}."),
    "day": ("On {day}.", "{day}, please.", "{day}."),
    "hour": ("At {hour}.", "At {hour}, please.", "{hour}."),
    "city": ("In {city}.", "{city}."),
    "stars": ("{stars} stars or more.", "At least {stars}."),
    "nights": ("{nights} nights.", "For {nights} nights."),
}
SECOND = ("Then at {hour}.", "Take {hour} then.", "Then {hour}, please.")
YES, FREE, UNCLEAR = "Yes, please.", "It should be free.", "Sorry, what do you mean?"

_ABOUT: Mapping[str, re.Pattern[str]] = {
    "title": re.compile(r"(which|what) (event|appointment|title)|what should it be called", re.I),
    "day": re.compile(r"(which|what) (day|date)|when\b|arrive", re.I),
    "hour": re.compile(r"(which|what) (time|hour)|when\b", re.I),
    "city": re.compile(r"(which|what) city|where\b", re.I),
    "stars": re.compile(r"how many stars|(which|what) (stars|rating|category)|stars\?", re.I),
    "nights": re.compile(r"how (many nights|long)|nights\?", re.I),
}
_TAKEN = re.compile(r"\b(taken|busy|occupied|not free|conflict|clash)", re.I)
_CONFIRM = re.compile(r"\b(confirm|correct|right|shall i|should i|okay|ok)\b", re.I)


def one(options: Sequence[Option], rng: np.random.Generator) -> Option:
    """Any of the options."""
    return options[int(rng.integers(len(options)))]


def request(kind: str, facts: Mapping[str, str], rng: np.random.Generator) -> str:
    """What a user says first, with the facts that they say."""
    opening, ask = one(_OPENINGS, rng), one(_ASKS, rng).format(do=one(_DOES[kind], rng))
    end = "?" if ask.startswith(("can", "could")) else "."
    if not opening.endswith(","):
        ask = ask[0].upper() + ask[1:]
    parts = [opening, ask, *(one(_FACTS[n], rng) for n in ("stars", "day", "nights") if n in facts)]
    if kind == "move":
        parts = [part.replace("on {day}", "to {day}") for part in parts]
    if kind == "trip":
        parts.append(one(_TRIP, rng))
    if "hour" in facts:
        parts.append("at {hour}")
    return " ".join(p for p in parts if p).format(**facts, name=one(NAMES, rng)) + end


def tell(name: str, facts: Mapping[str, str], pick: int) -> str:
    """A fact in the user's words, one of several ways."""
    ways = _TELLS[name]
    return ways[pick % len(ways)].format(**facts)


def asked_for(said: str) -> list[str]:
    """The facts that an assistant asks for; "when" may be day or hour."""
    if "?" not in said:
        return []
    return [name for name, pattern in _ABOUT.items() if pattern.search(said)]


def says_taken(said: str) -> bool:
    return _TAKEN.search(said) is not None


def wants_a_yes(said: str) -> bool:
    return "?" in said and _CONFIRM.search(said) is not None

"""What simulated users want, and in which world: drawn by keyed randomness, as JSON in a prompt's meta.

kind    what the user wants                                 a good assistant
add     an event in the calendar                            adds it; where the hour is taken, asks for another
move    an event at another time                            moves it; where the hour is taken, asks for another
clear   everything on a day cancelled                       lists the day and cancels each event
hotel   the cheapest hotel of so many stars for some nights finds, books; where it is full, the next cheapest
drop    the hotel in a city cancelled, which they do not    lists the bookings and cancels that one
        name
trip    a hotel, and an event in the calendar               both

Some facts are not said at first: the user tells them when asked. What is hidden, the world too, is drawn from what is
said, so that two tasks never share a first turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from trueline.errors import InputError
from trueline.policy.randomness import generator
from trueline.scenarios.booking import wording
from trueline.scenarios.booking.wording import one
from trueline.scenarios.booking.world import DAYS, Booking, Event, Hotel, Refused, World

KINDS = ("add", "move", "clear", "hotel", "drop", "trip")
FACTS: Mapping[str, tuple[str, ...]] = {
    "add": ("title", "day", "hour"),
    "move": ("title", "day", "hour"),
    "clear": ("day",),
    "hotel": ("city", "stars", "day", "nights"),
    "drop": ("city",),
    "trip": ("city", "stars", "day", "nights", "title", "hour"),
}
HOURS = tuple(range(9, 18))
MAY_HIDE = ("day", "hour", "nights", "stars")
TAKEN_SHARE, FULL_SHARE = 0.35, 0.35
HIDDEN = (0.35, 0.45, 0.2)


@dataclass(frozen=True)
class Task:
    """facts: what the user knows, by name, as they would say it; hidden: those that they tell only when asked;
    second: the hour that they take where theirs is taken, "" where it is free; world: as it is at first.
    """

    kind: str
    facts: Mapping[str, str]
    hidden: tuple[str, ...]
    second: str
    world: World

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "facts": dict(self.facts),
            "hidden": list(self.hidden),
            "second": self.second,
            "world": {
                "events": [asdict(e) for e in sorted(self.world.events)],
                "bookings": [asdict(b) for b in sorted(self.world.bookings)],
                "hotels": [{**asdict(h), "full": list(h.full)} for h in self.world.hotels],
            },
        }

    @classmethod
    def of(cls, row: Any) -> Task:
        """From JSON; InputError says what is wrong."""
        try:
            found = _reader().validate_python(row)
            if found.kind not in KINDS or set(found.facts) != set(FACTS[found.kind]):
                raise ValueError(f"kind {found.kind!r} with the facts {', '.join(found.facts)}; there is {dict(FACTS)}")
            found.goal()
        except (ValueError, KeyError, StopIteration, Refused) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"a booking task cannot be read: {reason}") from error
        return found

    def goal(self) -> World:
        """The world as the user wants it in the end."""
        world, facts = self.world, self.facts
        if self.kind in ("hotel", "trip"):
            world = self._booked(world)
        if self.kind in ("add", "trip"):
            return world.add(Event(facts["title"], facts["day"], int(self.second or facts["hour"])))
        if self.kind == "move":
            return world.move(facts["title"], facts["day"], int(self.second or facts["hour"]))
        if self.kind == "clear":
            for event in world.on(facts["day"]):
                world = world.cancel(event.title)
        if self.kind == "drop":
            world = world.unbook(next(h.name for h in world.find(facts["city"], 1, None) if _is_booked(world, h)))
        return world

    def _booked(self, world: World) -> World:
        for hotel in world.find(self.facts["city"], int(self.facts["stars"]), None):
            try:
                return world.book(hotel.name, self.facts["day"], int(self.facts["nights"]))
            except Refused:
                continue
        raise Refused("no hotel has room")


@cache
def _reader() -> TypeAdapter[Task]:
    return TypeAdapter(Task)


def _is_booked(world: World, hotel: Hotel) -> bool:
    return any(b.hotel == hotel.name for b in world.bookings)


@dataclass(frozen=True)
class Request:
    """What a user says first, and what of it they leave out. said: every fact, those that are hidden to be drawn."""

    text: str
    kind: str
    said: Mapping[str, str]
    hidden: tuple[str, ...]

    def task(self) -> Task:
        """The task behind it; the same for the same text."""
        unseen = generator("booking", self.text)
        drawn = _facts(self.kind, unseen)
        facts = {name: drawn[name] if name in self.hidden else value for name, value in self.said.items()}
        second, world = _draw_world(self.kind, facts, unseen)
        return Task(self.kind, facts, self.hidden, second, world)


def draw_request(rng: np.random.Generator, kind: str = "") -> Request:
    """Of a kind, or of any."""
    kind = kind or one(KINDS, rng)
    said = _facts(kind, rng)
    able = [name for name in said if name in MAY_HIDE and kind != "clear"]
    n = min(int(np.searchsorted(np.cumsum(HIDDEN), rng.random())), len(able))
    hidden = tuple(sorted(able[i] for i in rng.permutation(len(able))[:n]))
    text = wording.request(kind, {k: v for k, v in said.items() if k not in hidden}, rng)
    return Request(text, kind, said, hidden)


def _facts(kind: str, rng: np.random.Generator) -> dict[str, str]:
    """One draw of every fact that the kind has. Any stay fits into the week."""
    stays = kind in ("hotel", "trip")
    drawn = {
        "title": one(wording.TITLES, rng),
        "day": one(DAYS[:4] if stays else DAYS, rng),
        "hour": str(one(HOURS, rng)),
        "city": one(wording.CITIES, rng),
        "stars": str(rng.integers(3, 6)),
        "nights": str(rng.integers(2, 5)),
    }
    return {name: drawn[name] for name in FACTS[kind]}


def _draw_world(kind: str, facts: Mapping[str, str], rng: np.random.Generator) -> tuple[str, World]:
    """The second choice, and a world in which the task can be done."""
    events, second = _draw_events(kind, facts, rng)
    hotels = _draw_hotels(facts, rng) if "city" in facts else ()
    bookings: list[Booking] = []
    if kind == "drop":
        chosen = (hotels[0], hotels[-1])
        bookings = [Booking(h.name, one(DAYS[:4], rng), int(rng.integers(2, 5))) for h in chosen]
    return second, World(events, frozenset(bookings), hotels)


def _draw_events(kind: str, facts: Mapping[str, str], rng: np.random.Generator) -> tuple[frozenset[Event], str]:
    """What is in the calendar; where the hour is taken, the one that the user takes instead."""
    titles = iter([t for i in rng.permutation(len(wording.TITLES)) if (t := wording.TITLES[i]) != facts.get("title")])
    hours = iter([HOURS[i] for i in rng.permutation(len(HOURS)) if str(HOURS[i]) != facts.get("hour")])
    days = iter([d for i in rng.permutation(len(DAYS)) if (d := DAYS[i]) != facts.get("day")])
    found = [Event(next(titles), next(days), next(hours))]
    if kind == "clear":
        found += [Event(next(titles), facts["day"], next(hours)) for _ in range(rng.integers(1, 3))]
    if kind == "move":
        found.append(Event(facts["title"], next(days), next(hours)))
    if kind in ("add", "move") and rng.random() < TAKEN_SHARE:
        found.append(Event(next(titles), facts["day"], int(facts["hour"])))
        return frozenset(found), str(next(hours))
    return frozenset(found), ""


def _draw_hotels(facts: Mapping[str, str], rng: np.random.Generator) -> tuple[Hotel, ...]:
    """Three in the city, two of them with the stars that are asked for, and last one elsewhere."""
    names = [wording.HOTELS[i] for i in rng.permutation(len(wording.HOTELS))[:4]]
    prices = [5 * int(i) for i in rng.choice(np.arange(10, 60), 4, replace=False)]
    cheap, dear = sorted(prices[:2])
    stars = int(facts.get("stars", 3))
    full = (facts["day"],) if "day" in facts and rng.random() < FULL_SHARE else ()
    elsewhere = one([c for c in wording.CITIES if c != facts["city"]], rng)
    return (
        Hotel(names[0], facts["city"], int(rng.integers(stars, 6)), cheap, full),
        Hotel(names[1], facts["city"], int(rng.integers(stars, 6)), dear),
        Hotel(names[2], facts["city"], int(rng.integers(1, 6)), prices[2]),
        Hotel(names[3], elsewhere, int(rng.integers(1, 6)), prices[3]),
    )

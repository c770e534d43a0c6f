"""What tools act on: a week's calendar and a hotel desk. Immutable; an action gives a new one, or says why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Day = Annotated[str, Field(pattern=f"^({'|'.join(DAYS)})$")]
OPENS, CLOSES = 8, 20
MOST_EVENTS, MOST_BOOKINGS, MOST_HOTELS = 40, 10, 40


class Refused(Exception):
    """Why an action is not possible; nothing has changed."""


@dataclass(frozen=True, order=True)
class Event:
    """hour: when it begins, 8 to 19; hours: how long."""

    title: str
    day: Day
    hour: Annotated[int, Field(ge=OPENS, lt=CLOSES)]
    hours: Annotated[int, Field(ge=1, le=CLOSES - OPENS)] = 1

    def overlaps(self, other: Event) -> bool:
        return self.day == other.day and self.hour < other.hour + other.hours and other.hour < self.hour + self.hours


@dataclass(frozen=True, order=True)
class Hotel:
    """price: a night's; full: days on whose night it has no room."""

    name: str
    city: str
    stars: int
    price: int
    full: tuple[Day, ...] = ()


@dataclass(frozen=True, order=True)
class Booking:
    hotel: str
    day: Day
    nights: Annotated[int, Field(ge=1, le=len(DAYS))]


@dataclass(frozen=True)
class World:
    """Titles are unique, and so are hotels, of which each has one booking at most."""

    events: Annotated[frozenset[Event], Field(max_length=MOST_EVENTS)] = frozenset()
    bookings: Annotated[frozenset[Booking], Field(max_length=MOST_BOOKINGS)] = frozenset()
    hotels: Annotated[tuple[Hotel, ...], Field(max_length=MOST_HOTELS)] = ()

    def on(self, day: Day) -> list[Event]:
        """The day's events, by hour."""
        return sorted((e for e in self.events if e.day == day), key=lambda e: e.hour)

    def event(self, title: str) -> Event:
        for event in self.events:
            if event.title.lower() == title.lower():
                return event
        raise Refused(f"there is no {title} in the calendar")

    def clash(self, event: Event) -> Event | None:
        """The first other event at its time."""
        return next((e for e in self.on(event.day) if e.title != event.title and e.overlaps(event)), None)

    def add(self, event: Event) -> World:
        if any(e.title.lower() == event.title.lower() for e in self.events):
            raise Refused(f"{event.title} is in the calendar already")
        if len(self.events) >= MOST_EVENTS:
            raise Refused("the calendar is full")
        return self._put(event)

    def move(self, title: str, day: Day, hour: int) -> World:
        old = self.event(title)
        new = replace(old, day=day, hour=hour)
        return replace(self, events=self.events - {old})._put(new)

    def _put(self, event: Event) -> World:
        if event.hour + event.hours > CLOSES:
            raise Refused(f"the day ends at {CLOSES}")
        other = self.clash(event)
        if other is not None:
            raise Refused(f"{event.day} at {event.hour} is taken by {other.title}")
        return replace(self, events=self.events | {event})

    def cancel(self, title: str) -> World:
        return replace(self, events=self.events - {self.event(title)})

    def find(self, city: str, stars: int, price: int | None) -> list[Hotel]:
        """Hotels of a city with so many stars or more and at most that price, the cheapest first."""
        found = [h for h in self.hotels if h.city.lower() == city.lower() and h.stars >= stars]
        return sorted((h for h in found if price is None or h.price <= price), key=lambda h: (h.price, h.name))

    def hotel(self, name: str) -> Hotel:
        for hotel in self.hotels:
            if hotel.name.lower() == name.lower():
                return hotel
        raise Refused(f"there is no hotel {name}")

    def book(self, name: str, day: Day, nights: int) -> World:
        hotel = self.hotel(name)
        if any(b.hotel == hotel.name for b in self.bookings):
            raise Refused(f"{hotel.name} is booked already")
        if len(self.bookings) >= MOST_BOOKINGS:
            raise Refused(f"at most {MOST_BOOKINGS} bookings are kept")
        if (full := next((d for d in nights_of(day, nights) if d in hotel.full), None)) is not None:
            raise Refused(f"{hotel.name} is full on {full}")
        return replace(self, bookings=self.bookings | {Booking(hotel.name, day, nights)})

    def unbook(self, name: str) -> World:
        hotel = self.hotel(name)
        found = frozenset(b for b in self.bookings if b.hotel == hotel.name)
        if not found:
            raise Refused(f"no booking at {hotel.name}")
        return replace(self, bookings=self.bookings - found)


def nights_of(day: Day, nights: int) -> tuple[str, ...]:
    """The days on whose nights one stays; Refused beyond the week."""
    first = DAYS.index(day)
    if first + nights > len(DAYS):
        raise Refused("only this week can be booked")
    return DAYS[first : first + nights]

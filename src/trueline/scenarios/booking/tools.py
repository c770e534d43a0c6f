"""The tools of the sandbox: what they take, what they say. Pure: a world and a call give a world and a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trueline.scenarios.booking.calls import Call, CallError, parse_call
from trueline.scenarios.booking.world import CLOSES, DAYS, OPENS, Event, Refused, World

MOST_NIGHTS, MOST_PRICE, MOST_STARS = 7, 9999, 5
LONGEST_NAME = 30
_NAME = re.compile(r"[^\W_](?:[\w .'&-]*[^\W_])?")
Kind = Callable[[str], Any]


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME or _NAME.fullmatch(text) is None:
        raise CallError(f"must be a name of at most {LONGEST_NAME} letters")
    return text


def _day(text: str) -> str:
    found = next((d for d in DAYS if d.lower() == text.lower()), None)
    if found is None:
        raise CallError("must be a day such as Monday")
    return found


def _number(low: int, high: int) -> Kind:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high):
            raise CallError(f"must be a number from {low} to {high}")
        return int(text)

    return read


_hour = _number(OPENS, CLOSES - 1)
_hours, _nights = _number(1, CLOSES - OPENS), _number(1, MOST_NIGHTS)
_stars, _price = _number(1, MOST_STARS), _number(1, MOST_PRICE)
Result = tuple[World, str]


def _list_events(world: World, day: str) -> Result:
    told = ", ".join(f"{e.title} at {e.hour}" for e in world.on(day))
    return world, f"{day}: {told or 'nothing'}."


def _add_event(world: World, title: str, day: str, hour: int, hours: int = 1) -> Result:
    return world.add(Event(title, day, hour, hours)), f"Added {title}, {day} at {hour}."


def _move_event(world: World, title: str, day: str, hour: int) -> Result:
    return world.move(title, day, hour), f"Moved {title}, {day} at {hour}."


def _cancel_event(world: World, title: str) -> Result:
    return world.cancel(title), f"Cancelled {title}."


def _find_hotels(world: World, city: str, stars: int = 1, price: int | None = None) -> Result:
    found = world.find(city, stars, price)
    told = ", ".join(f"{h.name} {h.stars} stars {h.price}" for h in found)
    return world, f"{told or 'No hotel'}."


def _book_hotel(world: World, hotel: str, day: str, nights: int) -> Result:
    return world.book(hotel, day, nights), f"Booked {hotel}, {day}, {nights} nights."


def _list_bookings(world: World) -> Result:
    told = ", ".join(
        f"{b.hotel} in {world.hotel(b.hotel).city} {b.day} {b.nights} nights" for b in sorted(world.bookings)
    )
    return world, f"{told or 'No bookings'}."


def _cancel_booking(world: World, hotel: str) -> Result:
    return world.unbook(hotel), f"Cancelled {hotel}."


def _help(world: World) -> Result:
    return world, " ".join(usage(name) for name in TOOLS)


@dataclass(frozen=True)
class Tool:
    """act: the function; takes: how each argument is read; optional: those that may be left out."""

    act: Callable[..., Result]
    takes: Mapping[str, Kind]
    optional: tuple[str, ...] = ()


TOOLS: Mapping[str, Tool] = {
    "list_events": Tool(_list_events, {"day": _day}),
    "add_event": Tool(_add_event, {"title": _name, "day": _day, "hour": _hour, "hours": _hours}, ("hours",)),
    "move_event": Tool(_move_event, {"title": _name, "day": _day, "hour": _hour}),
    "cancel_event": Tool(_cancel_event, {"title": _name}),
    "find_hotels": Tool(_find_hotels, {"city": _name, "stars": _stars, "price": _price}, ("stars", "price")),
    "book_hotel": Tool(_book_hotel, {"hotel": _name, "day": _day, "nights": _nights}),
    "list_bookings": Tool(_list_bookings, {}),
    "cancel_booking": Tool(_cancel_booking, {"hotel": _name}),
    "help": Tool(_help, {}),
}


def usage(name: str) -> str:
    """Such as `find_hotels(city, stars?, price?)`."""
    tool = TOOLS[name]
    return f"{name}({', '.join(a + '?' * (a in tool.optional) for a in tool.takes)})"


def run(world: World, said: str) -> Result:
    """What a call does and what the tool says. Nothing is raised: a wrong call changes nothing and is told why."""
    try:
        return _run(world, parse_call(said))
    except (CallError, Refused) as error:
        return world, f"error: {error}."


def _run(world: World, call: Call) -> Result:
    if call.tool not in TOOLS:
        raise CallError(f"no tool {call.tool}; help() lists them")
    tool = TOOLS[call.tool]
    unknown = [a for a in call.arguments if a not in tool.takes]
    missing = [a for a in tool.takes if a not in call.arguments and a not in tool.optional]
    if unknown or missing:
        what = f"does not take {unknown[0]}" if unknown else f"needs {missing[0]}"
        raise CallError(f"{call.tool} {what}; {usage(call.tool)}")
    values = {}
    for name, text in call.arguments.items():
        try:
            values[name] = tool.takes[name](text)
        except CallError as error:
            raise CallError(f"{name} {error}") from error
    return tool.act(world, **values)

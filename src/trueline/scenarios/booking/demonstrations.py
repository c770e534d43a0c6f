"""What simulated demonstrators do with tasks, well and badly: text to pretrain a policy on that has something to learn.

They play in the sandbox itself, so that what tools and users say is what a policy will meet there.

share  style    what they do
20%    good     ask for what is missing, call the right tools, go on after an error, and say so when it is done
20%    guess    do not ask; they make up what is missing
25%    slip     get one thing wrong: a fact, or the hotel
20%    talk     say that it is done, and have called nothing
15%    quit     stop at an error or after the first action, and say that it is done
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from trueline.records import Message
from trueline.scenarios.booking import wording
from trueline.scenarios.booking.desk import Desk
from trueline.scenarios.booking.tasks import HOURS, Task
from trueline.scenarios.booking.wording import one
from trueline.scenarios.booking.world import DAYS

STYLES: Mapping[str, float] = {"good": 0.20, "guess": 0.20, "slip": 0.25, "talk": 0.20, "quit": 0.15}
_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "day": ("Which day?", "On which day?", "What day is it?"),
    "hour": ("What time?", "At what time?", "Which hour?"),
    "nights": ("How many nights?", "How long will you stay?"),
    "stars": ("How many stars?", "How many stars should it have?"),
}
_TAKEN = ("That hour is taken. What time instead?", "It is taken at {hour}. Which hour instead?")
_DONE: Mapping[str, tuple[str, ...]] = {
    "add": ("Done, {title} is on {day} at {hour}.", "I put {title} on {day} at {hour}."),
    "move": ("Done, {title} is now on {day} at {hour}.", "I moved {title} to {day} at {hour}."),
    "clear": ("Done, {day} is free.", "I cancelled everything on {day}."),
    "hotel": ("Done, {hotel} is booked from {day}.", "I booked {hotel} for {nights} nights."),
    "drop": ("Done, {hotel} is cancelled.", "I cancelled {hotel}."),
    "trip": ("Done, {hotel} is booked and {title} is at {hour}.", "I booked {hotel} and added {title} at {hour}."),
}
ACTIONS = ("add_event", "move_event", "cancel_event", "book_hotel", "cancel_booking")


def draw_style(rng: np.random.Generator) -> str:
    return list(STYLES)[int(np.searchsorted(np.cumsum(list(STYLES.values())), rng.random()))]


def demonstrate(task: Task, style: str, rng: np.random.Generator) -> list[Message]:
    """The turns behind the user's first one, by a demonstrator of that style."""
    return _Demonstrator(task, style, rng).play()


class _Demonstrator:
    """facts: what the demonstrator goes by, right or wrong."""

    def __init__(self, task: Task, style: str, rng: np.random.Generator) -> None:
        self.task, self.style, self.rng = task, style, rng
        self.desk, self.turns = Desk(task), list[Message]()
        self.facts, self.acted = dict(task.facts), False
        self.wrong_hotel = style == "slip" and "stars" in task.facts and rng.random() < 0.5
        if style == "guess":
            self.facts |= {name: self._other(name) for name in task.hidden}
        if style == "slip" and not self.wrong_hotel:
            name = one([n for n in task.facts if n != "stars"], rng)
            self.facts[name] = self._other(name)

    def play(self) -> list[Message]:
        if self.style != "guess":
            self._ask()
        hotel = one(wording.HOTELS, self.rng)
        if self.style != "talk":
            hotel = _PLAYS[self.task.kind](self) or hotel
        self._say(one(_DONE[self.task.kind], self.rng).format(**self.facts, hotel=hotel))
        return self.turns

    def _say(self, text: str) -> str:
        """What follows it; "" where nothing does."""
        answer = self.desk.step(text)
        self.turns += [Message("assistant", text), *([answer] if answer else [])]
        return answer.content if answer else ""

    def _ask(self) -> None:
        hidden = [self.task.hidden[i] for i in self.rng.permutation(len(self.task.hidden))]
        questions = [one(_QUESTIONS[name], self.rng) for name in hidden]
        for text in [" ".join(questions)] if self.rng.random() < 0.5 and questions else questions:
            self._say(text)

    def _act(self, tool: str, **arguments: str) -> str:
        """The tool's answer; "" where the demonstrator has already given up."""
        if tool in ACTIONS and self.style == "quit" and self.acted:
            return ""
        self.acted |= tool in ACTIONS
        return self._say(f"{tool}({', '.join(f'{k} = {v}' for k, v in arguments.items())})")

    def _scheduled(self, tool: str) -> None:
        told = self._act(tool, **{n: self.facts[n] for n in ("title", "day", "hour")})
        if "taken" not in told or self.style == "quit":
            return
        said = self._say(one(_TAKEN, self.rng).format(**self.facts))
        hour = next((w for w in said.replace(".", "").replace(",", "").split() if w.isdigit()), "")
        if hour:
            self.facts["hour"] = hour
            self._act(tool, **{n: self.facts[n] for n in ("title", "day", "hour")})

    def _booked(self) -> str:
        """The hotel that was booked, or else tried last."""
        self._act("find_hotels", city=self.facts["city"], stars=self.facts["stars"])
        names = [h.name for h in self.desk.state.world.find(self.facts["city"], int(self.facts["stars"]), None)]
        names = names[1:] if self.wrong_hotel and len(names) > 1 else names
        for name in names:
            told = self._act("book_hotel", hotel=name, day=self.facts["day"], nights=self.facts["nights"])
            if not told.startswith("error") or self.style == "quit":
                return name
        return names[-1] if names else ""

    def _cleared(self) -> None:
        self._act("list_events", day=self.facts["day"])
        for event in self.desk.state.world.on(self.facts["day"]):
            self._act("cancel_event", title=event.title)

    def _dropped(self) -> str:
        self._act("list_bookings")
        world = self.desk.state.world
        booked = sorted(b.hotel for b in world.bookings)
        right = next(name for name in booked if world.hotel(name).city == self.task.facts["city"])
        name = next(n for n in booked if n != right) if self.style in ("slip", "quit") else right
        self._act("cancel_booking", hotel=name)
        return name

    def _travelled(self) -> str:
        hotel = self._booked()
        self._scheduled("add_event")
        return hotel

    def _other(self, name: str) -> str:
        options = {
            "title": wording.TITLES, "city": wording.CITIES, "stars": ("3", "4", "5"), "nights": ("2", "3", "4"),
            "day": DAYS[:4] if "nights" in self.task.facts else DAYS, "hour": tuple(map(str, HOURS)),
        }[name]  # fmt: skip
        return one([x for x in options if x != self.task.facts[name]], self.rng)


_PLAYS: Mapping[str, Callable[[_Demonstrator], str | None]] = {
    "add": lambda d: d._scheduled("add_event"),
    "move": lambda d: d._scheduled("move_event"),
    "clear": _Demonstrator._cleared,
    "hotel": _Demonstrator._booked,
    "drop": _Demonstrator._dropped,
    "trip": _Demonstrator._travelled,
}

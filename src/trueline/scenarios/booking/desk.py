"""The sandbox: a conversation with a simulated user and tools that really act, in memory only.

A turn of the assistant's that is a call goes to the tools, any other to the user. Nothing reaches a file or a network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trueline.records import Exchange, Message, Prompt
from trueline.scenarios.booking.calls import is_call
from trueline.scenarios.booking.tasks import Task
from trueline.scenarios.booking.tools import run
from trueline.scenarios.booking.user import SimulatedUser
from trueline.scenarios.booking.world import World
from trueline.scenarios.transcript import read_transcript

MOST_TURNS = 12


@dataclass(frozen=True)
class State:
    """Where an episode stands. turns: the assistant's so far; errors: calls that were refused."""

    world: World
    user: SimulatedUser
    turns: int = 0
    errors: int = 0

    def after(self, said: str) -> tuple[State, Message | None]:
        """The state after an assistant's turn, and what follows it; None: it is over."""
        state = replace(self, turns=self.turns + 1)
        if is_call(said):
            world, told = run(self.world, said)
            state = replace(state, world=world, errors=self.errors + told.startswith("error"))
            answer = Message("system", told)
        else:
            user, words = self.user.hears(said)
            state, answer = replace(state, user=user), Message("user", words)
        return state, None if state.user.gone or state.turns >= MOST_TURNS else answer


class Desk:
    """An episode under way."""

    def __init__(self, task: Task) -> None:
        self.state = State(task.world, SimulatedUser(task))

    def step(self, said: str) -> Message | None:
        self.state, answer = self.state.after(said)
        return answer


def open_desk(prompt: Prompt) -> Desk:
    """InputError where the prompt's task cannot be read."""
    return Desk(Task.of(prompt.meta.get("task")))


def replay(exchange: Exchange) -> State:
    """The state at the end of a played episode, from its transcript: the assistant's turns, played again. Of an
    episode that was cut within a turn, that turn never reached anybody.
    """
    desk = open_desk(exchange.prompt)
    turns = read_transcript(exchange.completion.text)
    if exchange.completion.finish == "length" and turns[-1].role == "assistant":
        turns = turns[:-1]
    for turn in turns:
        if turn.role == "assistant" and not desk.state.user.gone and desk.state.turns < MOST_TURNS:
            desk.step(turn.content)
    return desk.state

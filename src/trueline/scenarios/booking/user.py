"""A simulated user: scripted, with a goal and a patience. They tell what they are asked, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trueline.scenarios.booking import wording
from trueline.scenarios.booking.tasks import Task

PATIENCE = 2


@dataclass(frozen=True)
class SimulatedUser:
    """turns: how often they have spoken since their first words; lost: how often an assistant's turn was no use to
    them; thanked: whether they took a turn of the assistant's as the end of it.
    """

    task: Task
    turns: int = 0
    lost: int = 0
    thanked: bool = False

    @property
    def gone(self) -> bool:
        return self.thanked or self.lost > PATIENCE

    def hears(self, said: str) -> tuple[SimulatedUser, str]:
        """The user after an assistant's words, and what they say: "" where they are gone.

        Words that ask nothing, and say nothing of a taken hour, are the end for them.
        """
        heard = replace(self, turns=self.turns + 1)
        facts = self.task.facts
        if self.task.second and wording.says_taken(said):
            return heard, wording.SECOND[self.turns % len(wording.SECOND)].format(hour=self.task.second)
        told = [wording.tell(name, facts, self.turns) for name in wording.asked_for(said) if name in facts]
        if told:
            return heard, " ".join(told)
        if wording.wants_a_yes(said):
            return self._lost(heard, wording.YES)
        if wording.says_taken(said):
            return self._lost(heard, wording.FREE)
        if "?" in said or not said:
            return self._lost(heard, wording.UNCLEAR)
        return replace(heard, thanked=True), ""

    @staticmethod
    def _lost(heard: SimulatedUser, text: str) -> tuple[SimulatedUser, str]:
        lost = replace(heard, lost=heard.lost + 1)
        return lost, "" if lost.gone else text

"""How much a loop may use: labels of people or of simulated ones, and hours."""

from __future__ import annotations

from dataclasses import dataclass

from trueline.errors import InputError

SECONDS = 3600.0


@dataclass(frozen=True)
class Budget:
    """labels: ratings and comparisons in all, 0: no limit; hours: of work on the loop, 0: no limit."""

    labels: int = 0
    hours: float = 0.0

    def prompts(self, wanted: int, labels: int, asked: int) -> int:
        """How many of the wanted prompts may be asked where `asked` of them have brought so many labels."""
        if not self.labels or not asked or not labels:
            return wanted
        return max(0, min(wanted, int((self.labels - labels) / (labels / asked))))

    def used(self, labels: int, seconds: float) -> str:
        """Why no further round may start, or ""."""
        if self.labels and labels >= self.labels:
            return f"the budget of {self.labels} labels is used ({labels} are there)"
        if self.hours and seconds >= self.hours * SECONDS:
            return f"the budget of {self.hours:g} hours is used ({seconds / SECONDS:.2f})"
        return ""


def read_budget(text: str) -> Budget:
    """From "labels=500,hours=2". InputError names what cannot be read."""
    found: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        try:
            found[{"labels": "labels", "hours": "hours"}[name.strip()]] = float(value)
        except (KeyError, ValueError):
            raise InputError(f"--budget {part!r}: must be such as labels=500 or hours=2") from None
        if not 0 < found[name.strip()] < float("inf"):
            raise InputError(f"--budget {part!r}: must be above 0")
    return Budget(int(found.get("labels", 0)), found.get("hours", 0.0))

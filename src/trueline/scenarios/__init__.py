"""Where Trueline is applied: each scenario brings prompts and, where it can, a base policy and the known truth."""

from trueline.errors import InputError
from trueline.scenarios import booking, customer_service
from trueline.scenarios.base import Scenario

SCENARIOS: dict[str, Scenario] = {"customer_service": customer_service.SCENARIO, "booking": booking.SCENARIO}


def load_scenario(name: str) -> Scenario:
    if name not in SCENARIOS:
        raise InputError(f"project.scenario: no scenario {name!r}; there is {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


__all__ = ["SCENARIOS", "Scenario", "load_scenario"]

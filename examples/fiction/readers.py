"""Simulated readers, who mark stories by rules.toml, each with a noise, a strictness and a bias of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from trueline.evaluate.judges.rules import read_rules
from trueline.feedback.annotators import SimulatedAnnotator, panel
from trueline.feedback.store import FeedbackStore

DIMENSION, RULES_OF_A_STORY = "craft", 6
GROUPS = {"reward": 4, "check": 4, "judge": 4}
"""How many readers teach the reward, the model that says when to stop, and the judge at the end."""
SEED = 11


def groups() -> dict[str, list[SimulatedAnnotator]]:
    """Different people in each."""
    people = iter(panel(sum(GROUPS.values()), SEED, (DIMENSION,)))
    return {name: [next(people) for _ in range(n)] for name, n in GROUPS.items()}


def write_labels(project: Path, target: Path) -> None:
    """A mark of one reader of each group for every story in the project's store."""
    rules, rng = read_rules(project / "rules.toml"), np.random.default_rng(SEED)
    with FeedbackStore.open(project / "feedback.sqlite") as store:
        known = store.snapshot()
    rows = []
    for story in map(known.exchange, sorted(known.completions)):
        taste = 1 - len(rules.which(story)) / RULES_OF_A_STORY
        for people in groups().values():
            reader = people[int(rng.integers(len(people)))]
            said = reader.rate(story, DIMENSION, taste, SEED)
            rows.append(
                {
                    "prompt": story.prompt.messages[0].content,
                    "completion": story.completion.text,
                    "completion_source": story.completion.source,
                    "completion_finish": story.completion.finish,
                    "ratings": {DIMENSION: said.value},
                    "annotator": said.annotator.name,
                    "simulated": True,
                }
            )
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")

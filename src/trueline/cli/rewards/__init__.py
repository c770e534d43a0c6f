"""trueline reward: one file a command; without a command it fits."""

from __future__ import annotations

from collections.abc import Callable

import typer

from trueline.cli.rewards import bench, compare, evaluate, explain, fit, score
from trueline.cli.rewards import test as counterfactuals

app = typer.Typer(help="Learn a reward model from the labels, or look into one.", invoke_without_command=True)
app.callback()(fit.fit)
COMMANDS: dict[str, Callable[..., None]] = {
    "explain": explain.explain,
    "score": score.score,
    "evaluate": evaluate.evaluate,
    "test": counterfactuals.test,
    "compare": compare.compare,
    "bench": bench.bench,
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)

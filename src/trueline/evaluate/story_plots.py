"""Pictures of a loop: the rounds' strengths, the held-out judge along the KL, and which judges agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from trueline.evaluate.overoptimisation import value
from trueline.evaluate.plots import BEFORE, LEARNED, TRUE, Figure, intervals, to_figure
from trueline.evaluate.ranking import Ranked
from trueline.evaluate.story import Bend, Checkpoint, Judges, Story


def story_figures(story: Story) -> list[Figure]:
    """The pictures that there is something to show for."""
    found = []
    if len(story.ranking) > 2:
        found.append(_ranking(story.ranking))
    if len(story.checkpoints) > 1:
        found.append(_along_kl(story.checkpoints, story.bend))
    if story.judges is not None and len(story.judges.rows) > 1:
        found.append(_agreement(story.judges))
    return found


def _ranking(rows: Sequence[Ranked]) -> Figure:
    figure = go.Figure()
    shown = rows[::-1]
    intervals(figure, [r.version for r in shown], [r.win_probability for r in shown], "win probability", LEARNED)
    figure.add_vline(x=0.5, line={"color": BEFORE, "width": 1, "dash": "dot"})
    figure.update_xaxes(range=[-0.03, 1.03], title_text="probability to win against the base policy")
    figure.update_yaxes(automargin=True)
    return Figure(
        "The rounds against each other",
        "A Bradley–Terry model of all policies' answers to the same prompts, by one judge; bars are 95% intervals.",
        to_figure(figure, 170 + 42 * len(rows)),
    )


def _along_kl(points: Sequence[Checkpoint], bend: Bend | None) -> Figure:
    figure = go.Figure()
    rounds = sorted({p.round for p in points})
    for number in rounds:
        own = sorted((p for p in points if p.round == number), key=lambda p: p.step)
        opacity = 0.35 + 0.65 * (number - rounds[0] + 1) / len(rounds)
        at = [max(p.kl, 0.0) ** 0.5 for p in own]
        figure.add_scatter(
            x=at, y=[p.judge for p in own], opacity=opacity, mode="lines+markers",
            name=f"held-out judge, round {number}",
            error_y={"type": "data", "array": [1.96 * p.error for p in own], "thickness": 1.5, "width": 4},
            line={"color": TRUE, "width": 2}, text=[f"step {p.step}" for p in own],
        )  # fmt: skip
        figure.add_scatter(
            x=at, y=[p.reward for p in own], opacity=opacity, mode="lines+markers",
            name=f"learned reward, round {number}", line={"color": LEARNED, "width": 2, "dash": "dot"},
        )  # fmt: skip
    caption = (
        "Each dot is a check on held-out prompts. Where the learned reward goes on and the held-out judge does not, "
        "the reward is being exploited. Both are in standard deviations of what each model was fitted on."
    )
    if bend is not None:
        last = [p for p in points if p.round == rounds[-1]]
        d = np.linspace(0, 1.05 * max(max(p.kl, 0.0) ** 0.5 for p in last), 60)
        start = min(last, key=lambda p: p.step)
        at_start = value("rl", bend.alpha, bend.beta, np.array([max(start.kl, 0.0) ** 0.5]))[0]
        fitted = start.judge - at_start + value("rl", bend.alpha, bend.beta, d)
        figure.add_scatter(x=d, y=fitted, mode="lines", name="fitted to the last round", line={"color": BEFORE})
        where = f"its peak at {bend.peak:.1f} nats" if bend.peak is not None else "no peak"
        caption += (
            f" The grey curve is d (α − β log d) with d = √KL (Gao et al. 2023), R² {bend.r_squared:.2f}, {where}."
        )
    figure.update_xaxes(title_text="√KL to the base policy, nats per answer")
    figure.update_yaxes(title_text="mean score")
    return Figure("Over-optimisation", caption, to_figure(figure, 460))


def _agreement(judges: Judges) -> Figure:
    names = [row.name for row in judges.rows]
    figure = go.Figure(
        go.Heatmap(
            z=[[np.nan if x is None else 100 * x for x in row] for row in judges.shares],
            x=names,
            y=names,
            zmin=0,
            zmax=100,
            colorscale="Teal",
            text=[
                ["" if x is None else f"{100 * x:.0f}%<br>{n}" for x, n in zip(*rows, strict=True)]
                for rows in zip(judges.shares, judges.counts, strict=True)
            ],
            texttemplate="%{text}",
            colorbar={"title": "%", "thickness": 12},
        )
    )
    figure.update_yaxes(automargin=True, autorange="reversed")
    figure.update_xaxes(automargin=True)
    return Figure(
        "Do the judges agree?",
        "On how many of the pairs, before against after, two judges say the same: after, before, or a tie.",
        to_figure(figure, 220 + 60 * len(names)),
    )

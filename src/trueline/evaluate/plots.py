"""The report's pictures, as plotly figures in HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.io import to_html
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from trueline.config import CHECK_NAMES
from trueline.evaluate.compare import Metric
from trueline.evaluate.wording import LABELS, SHARES, label

LEARNED, TRUE, QUIET, BEFORE = "#0f766e", "#b45309", "#64748b", "#94a3b8"
WATCHED = {
    "kl": "KL to the reference, nats per answer",
    "length": "length, tokens",
    "entropy": "entropy, nats per token",
    "bad_share": "bad answers, as estimated, a share",
    "multiplier": "cost of a bad answer (multiplier)",
    **{f"check_{name}": f"checked by rule: {name}, 0 to 1" for name in CHECK_NAMES},
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A plot with what it shows, in one sentence."""

    title: str
    caption: str
    html: str


def library() -> str:
    """plotly's own code, so that a report needs no network."""
    return str(get_plotlyjs())


def figures(metrics: Mapping[str, Metric], curves: Sequence[Row]) -> list[Figure]:
    """The pictures that there is something to show for."""
    found = [_forest(metrics)]
    if (changes := _changes(metrics)) is not None:
        found.append(changes)
    if curves:
        found += [_learned_and_true(curves), _reward_against_kl(curves), _watched(curves)]
    return found


def to_figure(figure: go.Figure, height: int, margin: Mapping[str, int] | None = None) -> str:
    """HTML in the look of all our pictures."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 40, "t": 40, "b": 75, **(margin or {})},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#334155"},
        legend={
            "orientation": "h",
            "y": -0.02,
            "yref": "container",
            "yanchor": "bottom",
            "x": 0.5,
            "xanchor": "center",
        },
    )
    config = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}
    return str(to_html(figure, config=config, include_plotlyjs=False, full_html=False))


def _forest(metrics: Mapping[str, Metric]) -> Figure:
    """Shares, and the dimensions where the truth grades them from 0 to 1, before and after, with intervals."""
    known = "unsafe_share" in metrics
    shown = [name for name in metrics if name in (*SHARES, "distinct_2") or (known and name not in LABELS)][::-1]
    figure = go.Figure()
    for side, colour in (("before", BEFORE), ("after", LEARNED)):
        found = [getattr(metrics[name], side) for name in shown]
        intervals(figure, [label(n) for n in shown], found, side, colour)
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_yaxes(automargin=True)
    html = to_figure(figure, 130 + 42 * len(shown))
    return Figure("Before and after", "Held-out prompts; the bars are 95% intervals.", html)


def _changes(metrics: Mapping[str, Metric]) -> Figure | None:
    """What a learned judge says: the paired change of each dimension, which has no scale of its own."""
    shown = [name for name, m in metrics.items() if name not in LABELS and m.change is not None][::-1]
    if "unsafe_share" in metrics or not shown:
        return None
    figure = go.Figure()
    intervals(figure, [label(n) for n in shown], [metrics[n].change for n in shown], "after - before", LEARNED)
    figure.add_vline(x=0, line={"color": BEFORE, "width": 1, "dash": "dot"})
    figure.update_yaxes(automargin=True)
    return Figure(
        "Change in the judge's scores",
        "Of the same prompts, in standard deviations of the answers the judge learned from; bars are 95% intervals.",
        to_figure(figure, 130 + 42 * len(shown)),
    )


def intervals(figure: go.Figure, names: list[str], found: Sequence[Any], what: str, colour: str) -> None:
    """A point with its bars for each name."""
    figure.add_scatter(
        x=[i.value for i in found],
        y=names,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [i.high - i.value for i in found],
            "arrayminus": [i.value - i.low for i in found],
            "thickness": 2,
            "width": 5,
        },
        mode="markers",
        marker={"size": 12, "color": colour},
        name=what,
        showlegend=True,
    )


def _learned_and_true(curves: Sequence[Row]) -> Figure:
    """A panel a dimension: what training maximises on the left axis, what is true on the right one."""
    dimensions = [key.removeprefix("reward_") for key in curves[0] if key.startswith("reward_")]
    panels = [("reward", None), *((f"reward_{d}", f"true_{d}") for d in dimensions)]
    figure = make_subplots(
        rows=(len(panels) + 1) // 2,
        cols=2,
        subplot_titles=["whole reward", *dimensions],
        specs=[[{"secondary_y": True}] * 2] * ((len(panels) + 1) // 2),
        horizontal_spacing=0.14,
        vertical_spacing=0.16,
    )
    steps = [row["step"] for row in curves]
    has_truth = False
    for i, (learned, true) in enumerate(panels):
        place = {"row": i // 2 + 1, "col": i % 2 + 1}
        line = {"color": LEARNED, "width": 2}
        figure.add_scatter(
            x=steps, y=[r[learned] for r in curves], name="learned reward", line=line, showlegend=i == 0, **place
        )
        if true is not None and true in curves[0]:
            figure.add_scatter(
                x=steps,
                y=[r[true] for r in curves],
                name="known truth, 0 to 1",
                line={"color": TRUE, "width": 2, "dash": "dot"},
                showlegend=not has_truth,
                secondary_y=True,
                **place,
            )
            figure.update_yaxes(range=[-0.03, 1.03], tickvals=[0, 0.5, 1], showgrid=False, secondary_y=True, **place)
            has_truth = True
        _mark_rounds(figure, curves, **place)
    figure.update_xaxes(title_text="training step", row=(len(panels) + 1) // 2)
    caption = "The learned reward is in standard deviations of the answers it was fitted on. "
    if "round" in curves[0]:
        caption += "It is fitted anew in each round; dotted lines are where a round begins. "
    if has_truth:
        caption += (
            "Training never sees the truth; where the reward rises and the truth does not, the reward is being hacked."
        )
    return Figure(
        "What training maximised" + (", and what was true" if has_truth else ""), caption, to_figure(figure, 560)
    )


def _reward_against_kl(curves: Sequence[Row]) -> Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[r["kl"] for r in curves],
        y=[r["reward"] for r in curves],
        mode="markers",
        marker={
            "size": 9,
            "color": [r["step"] for r in curves],
            "colorscale": "Teal",
            "colorbar": {"title": "step", "thickness": 12},
        },
        name="a training step",
        hovertemplate="KL %{x:.2f} nats, reward %{y:.2f}<extra></extra>",
    )
    figure.update_xaxes(title_text="KL to the reference, nats per answer")
    figure.update_yaxes(title_text="learned reward")
    return Figure(
        "Reward against KL",
        "How far the policy moved from where it started, and what it got for that. A dot is a training step.",
        to_figure(figure, 400),
    )


def _watched(curves: Sequence[Row]) -> Figure:
    shown = {name: text for name, text in WATCHED.items() if name in curves[0]}
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    titles = list(shown.values())
    figure = make_subplots(rows, columns, subplot_titles=titles, horizontal_spacing=0.08, vertical_spacing=0.25)
    steps = [row["step"] for row in curves]
    for i, name in enumerate(shown):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        line = {"color": QUIET, "width": 2}
        figure.add_scatter(x=steps, y=[r.get(name) for r in curves], line=line, showlegend=False, **place)
        _mark_rounds(figure, curves, **place)
    figure.update_xaxes(title_text="training step")
    return Figure(
        "What to watch", "How far the policy moved, and what became of its answers.", to_figure(figure, 300 * rows)
    )


def _mark_rounds(figure: go.Figure, curves: Sequence[Row], **place: int) -> None:
    for earlier, row in zip(curves, curves[1:], strict=False):
        if row.get("round") != earlier.get("round"):
            figure.add_vline(x=row["step"] - 0.5, line={"color": BEFORE, "width": 1, "dash": "dot"}, **place)

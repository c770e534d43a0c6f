"""The pictures of a reward model's page: scores, reliability, risk, slices, counterfactuals, telling features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trueline.evaluate.counterfactual_rates import PassRate
from trueline.evaluate.plots import BEFORE, LEARNED, TRUE, Figure, to_figure
from trueline.evaluate.reward_metrics import DimensionFigures
from trueline.evaluate.risk import Risk
from trueline.evaluate.slices import Slice
from trueline.evaluate.statistics import Interval

COLOURS = (LEARNED, TRUE, "#6d28d9", "#be123c", "#1d4ed8", "#4d7c0f")
ORDER = ("topic", "length", "annotator")
Named = Sequence[tuple[str, float]]


def scores_figure(scores: Mapping[str, Sequence[float]]) -> Figure:
    """A histogram a dimension, of (n,) scores each."""
    figure = make_subplots(
        rows=len(scores), cols=1, shared_xaxes=True, subplot_titles=list(scores), vertical_spacing=0.12
    )
    for i, (name, values) in enumerate(scores.items()):
        bars = {"color": _colour(i), "line": {"width": 0}}
        figure.add_histogram(x=list(values), nbinsx=40, name=name, marker=bars, showlegend=False, row=i + 1, col=1)
    figure.update_xaxes(title_text="score, standard deviations", row=len(scores), col=1)
    return Figure(
        "Scores",
        "Of the held-out answers; 0 is the average training answer.",
        to_figure(figure, 90 + 150 * len(scores)),
    )


def reliability_figure(found: Mapping[str, DimensionFigures]) -> Figure | None:
    shown = {d: f for d, f in found.items() if f.reliability}
    if not shown:
        return None
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": BEFORE, "dash": "dot"},
        name="as it should be",
        hoverinfo="skip",
    )
    for d, f in shown.items():
        p, share, n = zip(*f.reliability, strict=True)
        size = (7 + 13 * np.sqrt(np.array(n) / max(n))).tolist()
        figure.add_scatter(
            x=p,
            y=share,
            customdata=n,
            mode="lines+markers",
            marker={"size": size, "color": _colour(list(found).index(d))},
            line={"color": _colour(list(found).index(d)), "width": 2},
            name=d,
            hovertemplate="says %{x:.2f}, is %{y:.2f} of %{customdata}<extra></extra>",
        )
    figure.update_xaxes(title_text="probability said", range=[-0.03, 1.03])
    figure.update_yaxes(title_text="share of pairs", range=[-0.03, 1.03])
    return Figure(
        "Can its probabilities be believed?",
        "How often an answer is preferred, as the model says and as people say. Each held-out pair counts in both "
        "orders; larger dots hold more pairs. Above the dotted line at the right the "
        "model is too cautious, below it too sure.",
        to_figure(figure, 430),
    )


def risk_figure(found: Mapping[str, Risk | None]) -> Figure | None:
    shown = {d: r for d, r in found.items() if r is not None}
    if not shown:
        return None
    figure = go.Figure()
    for d, r in shown.items():
        line = {"color": _colour(list(found).index(d)), "width": 2}
        what = "share wrong" if r.of == "pairs" else "mean error, points"
        figure.add_scatter(
            x=[c for c, _ in r.curve], y=[v for _, v in r.curve], mode="lines", line=line, name=f"{d}, {what}"
        )
        figure.add_scatter(
            x=[0, 1], y=[r.chance] * 2, mode="lines", line={**line, "width": 1, "dash": "dot"}, showlegend=False,
            hoverinfo="skip",
        )  # fmt: skip
    figure.update_xaxes(title_text="share kept, the most certain first", range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(title_text="error", rangemode="tozero")
    caption = (
        "Where a curve rises to the right, the model is wrong where it is unsure, as it should be; dotted: by chance."
    )
    return Figure("Does it know when it is wrong?", caption, to_figure(figure, 400))


def slices_figure(found: Mapping[str, Sequence[Slice]]) -> Figure | None:
    """A row a part, the dimensions beside each other."""
    every = sorted((s for each in found.values() for s in each), key=lambda s: ORDER.index(s.by))
    # Accuracies and correlations do not belong on one axis; reward.json has both.
    measure = min((s.measure for s in every), default="")
    every = [s for s in every if s.measure == measure]
    names = list(dict.fromkeys(f"{s.by}: {_short(s.name)}" for s in every))[::-1]
    if not names:
        return None
    figure = go.Figure()
    for i, (d, each) in enumerate(found.items()):
        _points(figure, [(f"{s.by}: {_short(s.name)}", s.figure) for s in each if s.measure == measure], d, _colour(i))
    figure.update_xaxes(title_text={"pearson": "Pearson r"}.get(measure, measure))
    figure.update_yaxes(automargin=True, categoryorder="array", categoryarray=names)
    caption = (
        "The same figure for parts of the held-out labels, with 95% intervals; parts with under 20 labels are left out."
    )
    return Figure("Where it is better and worse", caption, to_figure(figure, 150 + 30 * len(names)))


def passes_figure(found: Sequence[PassRate]) -> Figure | None:
    if not found:
        return None
    names = list(dict.fromkeys(r.test for r in found))[::-1]
    figure = go.Figure()
    for i, d in enumerate(dict.fromkeys(r.dimension for r in found)):
        _points(figure, [(_short(r.test), r.passed) for r in found if r.dimension == d], d, _colour(i))
    figure.update_xaxes(title_text="answers that pass", tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(automargin=True, categoryorder="array", categoryarray=[_short(n) for n in names])
    caption = (
        "Changes that should leave a score alone, or move it only one way, made to held-out answers; 95% intervals."
    )
    return Figure("Counterfactual tests", caption, to_figure(figure, 150 + 30 * len(names)))


def telling_figure(found: Mapping[str, tuple[Named, Named]]) -> Figure | None:
    """Per dimension what raises and what lowers the score most: (name, effect)."""
    shown = {d: [*raising, *lowering[::-1]] for d, (raising, lowering) in found.items() if raising or lowering}
    if not shown:
        return None
    most = max(map(len, shown.values()))
    figure = make_subplots(rows=len(shown), cols=1, subplot_titles=list(shown), vertical_spacing=0.22 / len(shown))
    for i, features in enumerate(shown.values(), 1):
        values = [v for _, v in features][::-1]
        colours = [LEARNED if v > 0 else "#b91c1c" for v in values]
        # By number, since two long names may be cut to the same one.
        places, names = list(range(len(values))), [_short(n, 30) for n, _ in features][::-1]
        figure.add_bar(
            x=values, y=places, orientation="h", showlegend=False, marker={"color": colours}, row=i, col=1,
            customdata=[_short(n, 120) for n, _ in features][::-1], hovertemplate="%{customdata}: %{x:+.3f}",
        )  # fmt: skip
        figure.update_yaxes(tickmode="array", tickvals=places, ticktext=names, row=i, col=1)
    figure.update_yaxes(automargin=True, tickfont={"size": 11})
    figure.update_xaxes(
        title_text="effect of one standard deviation, in deviations of the score", row=len(shown), col=1
    )
    html = to_figure(figure, 90 + (60 + 21 * most) * len(shown))
    return Figure("What it looks at", "Features that raise and lower the score most, over all answers.", html)


def _points(figure: go.Figure, found: Sequence[tuple[str, Interval]], name: str, colour: str) -> None:
    intervals = [i for _, i in found]
    figure.add_scatter(
        x=[i.value for i in intervals],
        y=[n for n, _ in found],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [i.high - i.value for i in intervals],
            "arrayminus": [i.value - i.low for i in intervals],
            "thickness": 1.5,
            "width": 3,
        },
        mode="markers",
        marker={"size": 9, "color": colour},
        name=name,
    )


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _short(name: str, most: int = 24) -> str:
    """Plotly reads a few tags in its texts."""
    cut = name if len(name) <= most else name[: most - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

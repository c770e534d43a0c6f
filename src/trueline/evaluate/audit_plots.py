"""The pictures of a data audit: each figure that was tested, with its interval and where it should be."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from trueline.evaluate.plots import BEFORE, Figure, to_figure
from trueline.feedback.audit.findings import Finding

COLOURS = {"serious": "#b91c1c", "warning": "#b45309", "note": "#475569", "ok": "#0f766e"}
SAID = {"serious": "serious", "warning": "warning", "note": "note", "ok": "nothing found"}
WINS = {"length": "longer answer", "position": "left answer (A)", "flattery": "answer that flatters"}
MOST_ROWS = 30
NAME_LENGTH = 34


def figures(findings: Sequence[Finding]) -> list[Figure]:
    """The pictures that there is something to show for."""
    drawn = [
        _forest(
            [f for f in findings if f.aspect in WINS],
            "What wins that should not matter",
            "Share of comparisons that each wins; 50% is no preference.",
            "share",
        ),
        _forest(
            [f for f in findings if f.aspect in ("group", "topic")],
            "Groups and topics, in comparisons",
            "How often the answer that names it wins over one that does not; 50% is no difference.",
            "share",
        ),
        _forest(
            [f for f in findings if f.aspect in ("group", "topic")],
            "Groups and topics, in ratings",
            "Odds of a low mark where it is named, against the other texts; 1 is no difference.",
            "odds ratio",
        ),
        _forest(
            [f for f in findings if f.aspect == "leniency"],
            "Who marks more kindly",
            "Points above everybody's mean, the answers being equal; shrunken towards 0 where there are few labels.",
            "points",
        ),
        _forest(
            [f for f in findings if f.aspect == "drift"],
            "Who changed with time",
            "Points from a person's first label to the last; 0 is no change.",
            "points",
        ),
        _forest(
            [f for f in findings if f.aspect == "disagreement"],
            "Who differs from the others",
            "How much more often a person contradicts the others than they each other, in shares; 0 is as often.",
            "share",
        ),
        _forest(
            [f for f in findings if f.aspect == "agreement"],
            "How far people agree: alpha",
            "Krippendorff's alpha; 1 is full agreement, 0 is chance.",
            "alpha",
        ),
    ]
    return [f for f in drawn if f is not None]


def _forest(findings: Sequence[Finding], title: str, caption: str, unit: str) -> Figure | None:
    """A row a finding; with more than 30 those farthest from what they should be."""
    shown = [f for f in findings if f.figure is not None and f.figure.unit == unit and f.figure.low is not None]
    if not shown:
        return None
    left_out = len(shown) - MOST_ROWS
    shown = sorted(shown, key=lambda f: f.adjusted if f.adjusted is not None else 0.0)[:MOST_ROWS]
    if left_out > 0:
        caption += f" The {MOST_ROWS} clearest of {len(shown) + left_out}."
    figure = go.Figure()
    names = {f.id: f"{i}|{name_of(f)}" for i, f in enumerate(shown)}
    for severity, colour in COLOURS.items():
        _rows(figure, [f for f in shown if f.severity == severity], names, severity, colour)
    neutral = next((f.figure.neutral for f in shown if f.figure is not None), None)
    if neutral is not None:
        figure.add_vline(x=neutral, line={"color": BEFORE, "width": 1, "dash": "dot"})
    labels = list(names.values())
    figure.update_yaxes(
        automargin=True,
        categoryorder="array",
        categoryarray=labels[::-1],
        tickmode="array",
        tickvals=labels,
        ticktext=[escaped(n.split("|", 1)[1]) for n in labels],
    )
    if unit == "share":
        figure.update_xaxes(tickformat=".0%")
    if unit == "odds ratio":
        ticks = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    return Figure(title, caption, to_figure(figure, 120 + 30 * len(shown), {"l": 10, "r": 15, "t": 15}))


def _rows(figure: go.Figure, shown: Sequence[Finding], names: dict[str, str], severity: str, colour: str) -> None:
    found = [(f, f.figure) for f in shown if f.figure is not None]
    if not found:
        return
    figure.add_scatter(
        x=[g.value for _, g in found],
        y=[names[f.id] for f, _ in found],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(g.high or 0.0) - g.value for _, g in found],
            "arrayminus": [g.value - (g.low or 0.0) for _, g in found],
            "thickness": 2,
            "width": 4,
        },
        mode="markers",
        marker={"size": 10, "color": colour, "line": {"color": "#fff", "width": 1}},
        customdata=[[g.n] for _, g in found],
        hovertemplate="%{x} (n = %{customdata[0]:,})<extra></extra>",
        name=SAID[severity],
        showlegend=True,
    )


def name_of(finding: Finding) -> str:
    name = f"{WINS[finding.aspect]}, {finding.subject}" if finding.aspect in WINS else finding.subject
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def escaped(text: str) -> str:
    """plotly reads a few tags in labels; what people wrote is shown as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

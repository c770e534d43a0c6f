"""Runs as they lie in a project's runs/: what the watch page shows of them.

Whatever is in these files, what comes out can be sent: strict JSON, with null for a number that is none, and texts
without half characters. A file that is missing, half-written or not what it should be counts as not there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")
ROUND = re.compile(r"round-(?!00$)(\d{2,6})")  # round-00 is the base policy's
QUIET = 60.0  # seconds without a sign of life after which a run counts as stopped
SLOW_STEPS = 3  # a step may take longer than that: so many of its own length
LARGEST = 2**53  # of whole numbers that a browser keeps
TAIL = 65_536  # bytes, in which the last row is looked for
MOST_RUNS, MOST_POINTS, MOST_WARNINGS, PAGE = 200, 500, 1000, 10


@dataclass(frozen=True)
class Part:
    """One training run: the whole of an align run (as round 1), or a round of a loop; and where its files are."""

    round: int
    training: Path
    report: Path
    decision: Path | None

    @property
    def metrics(self) -> Path:
        return self.training / "metrics.jsonl"


def find(project: Path, name: str) -> Path | None:
    """Where the run is, or will be once it starts; None where the name is none, or leads out of runs/."""
    found = project / "runs" / name
    return found if NAME.fullmatch(name) and not found.is_symlink() else None


def parts_of(folder: Path, kind: str) -> list[Part]:
    """In order; of a loop the rounds that have begun, of what is no run none."""
    if kind == "align":
        return [Part(1, folder, folder / "report" / "report.json", None)]
    numbered = ((ROUND.fullmatch(p.name), p) for p in folder.glob("round-*") if kind == "loop")
    rounds = sorted((int(found[1]), p) for found, p in numbered if found)
    return [Part(n, p / "align", p / "report" / "report.json", p / "decision.json") for n, p in rounds]


def reports_of(folder: Path, kind: str, parts: Sequence[Part]) -> dict[int, Path]:
    """By round, where reports are or will be; 0: the whole loop's."""
    return {p.round: p.report for p in parts} | ({0: folder / "report" / "report.json"} if kind == "loop" else {})


def kind_of(run: Mapping[str, Any] | None) -> str:
    """ "align" or "loop"; "" for what is not a run."""
    kind = (run or {}).get("kind")
    return kind if kind in ("align", "loop") else ""


def listed(project: Path, now: float) -> list[dict[str, Any]]:
    """The runs, newest first; now: seconds since the epoch."""
    runs = project / "runs"
    folders = [p for p in runs.iterdir() if find(project, p.name)] if runs.is_dir() else []
    started = sorted(((_changed(p / "run.json"), p.name) for p in folders), reverse=True)[:MOST_RUNS]
    summaries = (summary(runs / name, now) for _, name in started)
    return [s for s in summaries if s["kind"]]


def summary(folder: Path, now: float) -> dict[str, Any]:
    """state: running, finished, stopped, or waiting for a run that has not begun; steps: done, of those planned;
    rounds: begun and planned; started: seconds since the epoch.
    """
    run = read_json(folder / "run.json")
    kind = kind_of(run)
    parts = parts_of(folder, kind)
    last = [last_row(p.metrics) for p in parts]
    finished = kind != "" and (folder / ("policy" if kind == "align" else "report/report.json")).exists()
    rounds = _whole_number((run or {}).get("rounds")) or 1
    return {
        "name": folder.name,
        "kind": kind,
        "state": "finished" if finished else _state(folder, parts, last, now) if kind else "waiting",
        "steps": sum(row.get("step", 0) for row in last),
        "planned": _planned(run or {}, parts, 0 if finished else max(0, rounds - len(parts))),
        "round": len(parts),
        "rounds": rounds,
        "started": _changed(folder / "run.json"),
    }


def _state(folder: Path, parts: Sequence[Part], last: Sequence[Row], now: float) -> str:
    """Fits and samplings write no metrics, but a stage that ends leaves its trace in the round's folder."""
    signs = [folder / "run.json"]
    signs += [place for p in parts for place in (p.metrics, p.training, p.report.parent.parent)]
    seconds = sum(last[-1].get(f"seconds_{stage}") or 0.0 for stage in ("rollout", "update")) if last else 0.0
    return "running" if now - max(map(_changed, signs)) <= max(QUIET, SLOW_STEPS * seconds) else "stopped"


def _planned(run: Row, parts: Sequence[Part], to_come: int) -> int:
    """Steps of all rounds; those to come will be as long as the last one, as far as is known."""
    steps = _whole_number(_setting(run, "align", "steps"))
    total = 0
    for part in parts:
        steps = _whole_number(_setting(read_json(part.training / "run.json") or {}, "align", "steps")) or steps
        total += steps
    return total + to_come * steps


def whole(folder: Path, now: float, rows: Mapping[int, Sequence[Row]]) -> dict[str, Any]:
    """All that the page shows of a run.

    rows: by round, all of metrics.jsonl; they are thinned. warnings: the newest, oldest first. A part's limit: the
    most bad answers that its constraint allows, null without one. report: of the whole loop.
    """
    run = read_json(folder / "run.json") or {}
    shown = summary(folder, now)
    parts = parts_of(folder, shown["kind"])
    reports = {n: report_of(path) for n, path in reports_of(folder, shown["kind"], parts).items()}
    dimensions, checks = _setting(run, "project", "dimensions"), _setting(run, "objective", "checks")
    return {
        **shown,
        "algorithm": str(_setting(run, "align", "algorithm") or ""),
        "dimensions": [str(d) for d in dimensions] if isinstance(dimensions, list) else [],
        "checks": [*checks] if isinstance(checks, dict) else [],
        "simulated": _simulated(run) or any(r["simulated"] for r in reports.values() if r),
        "parts": [
            {
                "round": p.round,
                "rows": thinned(rows.get(p.round, ())),
                "limit": _limit(read_json(p.training / "run.json") or run),
                "decision": decision_of(p.decision),
                "report": reports[p.round],
            }
            for p in parts
        ],
        "report": reports.get(0),
        "warnings": [w for p in parts for w in warnings_of(p.round, rows.get(p.round, ()))][-MOST_WARNINGS:],
    }


def answers(folder: Path, round_: int, page: int) -> dict[str, Any] | None:
    """A page of held-out prompts with both answers; round 0: the report of the whole loop. None without a report."""
    kind = kind_of(read_json(folder / "run.json"))
    places = reports_of(folder, kind, parts_of(folder, kind))
    report = read_json(places[round_]) if round_ in places else None
    if report is None:
        return None
    samples = [_sample(s) for s in _dicts(report.get("samples"))]
    return {
        "round": round_,
        "page": page,
        "pages": max(1, -(-len(samples) // PAGE)),
        "total": len(samples),
        "rows": samples[(page - 1) * PAGE : page * PAGE],
    }


def _sample(found: Row) -> Row:
    texts = {name: str(found.get(name) or "") for name in ("prompt", "before", "after")}
    scores = {name: _numbers(found.get(name)) for name in ("scores_before", "scores_after")}
    return {**texts, **scores, **{name: bool(found.get(name)) for name in ("flagged_before", "flagged_after")}}


def report_of(path: Path) -> dict[str, Any] | None:
    """A report's metrics and what they are worth, without its samples and curves; None where there is none."""
    found = read_json(path)
    if found is None:
        return None
    metrics = found.get("metrics") if isinstance(found.get("metrics"), dict) else {}
    sides = ("before", "after", "change")
    return {
        "title": str(found.get("title") or ""),
        "judge": str(found.get("judge") or ""),
        "simulated": bool(found.get("simulated")),
        "answers": len(_dicts(found.get("samples"))),
        "metrics": {
            name: {side: _numbers(metric.get(side)) or None for side in sides}
            for name, metric in (metrics or {}).items()
            if isinstance(metric, dict)
        },
    }


def decision_of(path: Path | None) -> dict[str, Any] | None:
    """What was decided after a round, and why; None where nothing is decided yet."""
    found = read_json(path) if path else None
    if found is None:
        return None

    def some(name: str, texts: Sequence[str], *others: str) -> list[Row]:
        return [
            {t: str(row.get(t) or "") for t in texts} | {o: row.get(o) for o in others}
            for row in _dicts(found.get(name))
        ]

    return {
        "promoted": bool(found.get("promoted")),
        "stop": str(found.get("stop") or ""),
        "gates": some("gates", ("name", "text"), "passed"),
        "changes": some("changes", ("setting", "rule", "evidence", "expects"), "before", "after"),
        "checks": some("checks", ("rule", "expected"), "found", "held"),
    }


def warnings_of(round_: int, rows: Sequence[Row]) -> list[Row]:
    return [{"round": round_, "step": row["step"], "text": text} for row in rows for text in row.get("warnings", ())]


def thinned(rows: Sequence[Row], most: int = MOST_POINTS) -> list[Row]:
    """At most so many rows, the first and the last among them. A row that stands for others has what they alone have,
    since some figures come only every few steps. Warnings are told elsewhere.
    """
    plain = [{k: v for k, v in row.items() if k != "warnings"} for row in rows]
    if len(plain) <= most:
        return plain
    ends = [1 + i * (len(plain) - 1) // (most - 1) for i in range(most)]
    kept = []
    for start, end in zip([0, *ends], ends, strict=False):
        together: Row = {}
        for row in plain[start:end]:
            together |= row
        kept.append(together)
    return kept


def read_rows(path: Path, start: int = 0) -> tuple[list[Row], int]:
    """The rows from a byte on, and the byte behind the last whole line. A last line without its end is not there yet,
    and a line that is no row is passed over.
    """
    try:
        with open(path, "rb") as handle:
            handle.seek(start)
            data = handle.read()
    except OSError:
        return [], start
    lines = data[: data.rfind(b"\n") + 1]
    return [row for line in lines.splitlines() if (row := _row(line))], start + len(lines)


def last_row(path: Path) -> Row:
    """{} where there is none."""
    try:
        size = path.stat().st_size
    except OSError:
        return {}
    rows, _ = read_rows(path, max(0, size - TAIL))
    return rows[-1] if rows else {}


def _row(line: bytes) -> Row | None:
    found = _loaded(line)
    if not isinstance(found, dict) or not _whole_number(found.get("step")):
        return None
    texts = found.get("warnings")
    warnings = [str(w) for w in texts] if isinstance(texts, list) else []
    return {**_numbers(found), "warnings": warnings}


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such file, or none that can be read."""
    try:
        found = _loaded(path.read_bytes()) if path.is_file() else None
    except OSError:
        return None
    return found if isinstance(found, dict) else None


def _loaded(data: bytes) -> Any:
    try:
        return _sendable(json.loads(data))
    except (ValueError, RecursionError):
        return None


def _sendable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_sendable(k): _sendable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_sendable(v) for v in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None if isinstance(value, int) and abs(value) > LARGEST else value


def _numbers(found: Any) -> dict[str, float | None]:
    """The entries that are numbers, or were meant to be."""
    entries = found.items() if isinstance(found, dict) else ()
    return {k: v for k, v in entries if v is None or (isinstance(v, int | float) and not isinstance(v, bool))}


def _dicts(found: Any) -> list[Row]:
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _whole_number(found: Any) -> int:
    """0 for what is none, or none of at least 1."""
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def _setting(run: Mapping[str, Any], *keys: str) -> Any:
    found: Any = run.get("config")
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _simulated(run: Mapping[str, Any]) -> bool:
    """Runs from before the setting have no collect.labelled_by: people could not label in a scenario then."""
    collecting = _setting(run, "collect", "labelled_by") or "simulated"
    return bool(_setting(run, "project", "scenario")) and collecting == "simulated"


def _limit(run: Mapping[str, Any]) -> float | None:
    limit = _setting(run, "align", "constraint", "limit")
    held = _setting(run, "align", "constraint", "dimension")
    return float(limit) if held and isinstance(limit, int | float) else None


def _changed(path: Path) -> float:
    """Seconds since the epoch; 0 for what is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

"""What is new in a run's folder, look by look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueline.web import runs

Event = tuple[str, Any]


@dataclass
class Tail:
    """A metrics.jsonl of which only what was appended is read."""

    path: Path
    at: int = 0
    file: int = 0

    def replaced(self) -> bool:
        """Whether what was read is no longer what stands there: a run that goes on writes the file anew."""
        try:
            now = self.path.stat()
        except OSError:
            return self.at > 0
        return self.at > 0 and (now.st_ino != self.file or now.st_size < self.at)

    def rows(self) -> list[runs.Row]:
        try:
            now = self.path.stat()
        except OSError:
            return []
        if now.st_size == self.at:
            return []
        self.file = now.st_ino
        found, self.at = runs.read_rows(self.path, self.at)
        return found


@dataclass
class Follower:
    """Of a run that may not have begun yet. The first look, and one after what was read has been written anew, gives
    the whole run as one "state"; the others give what came since: "step", "decision", "report", "status".
    """

    folder: Path
    clock: Callable[[], float] = time.time
    tails: dict[int, Tail] = field(default_factory=dict)
    versions: dict[Path, int] = field(default_factory=dict)
    state: str = ""

    def look(self) -> list[Event]:
        if not self.state or self._is_new(self.folder / "run.json") or any(t.replaced() for t in self.tails.values()):
            return [("state", self._from_the_start())]
        kind, parts = self._parts()
        events = [*self._steps(parts), *self._files(kind, parts)]
        summary = runs.summary(self.folder, self.clock())
        if summary["state"] != self.state:
            self.state = summary["state"]
            events.append(("status", summary))
        return events

    def _from_the_start(self) -> dict[str, Any]:
        self.tails, self.versions = {}, {}
        self._is_new(self.folder / "run.json")
        kind, parts = self._parts()
        list(self._files(kind, parts))
        found = runs.whole(self.folder, self.clock(), {p.round: self._tail(p).rows() for p in parts})
        self.state = found["state"]
        return found

    def _parts(self) -> tuple[str, list[runs.Part]]:
        kind = runs.kind_of(runs.read_json(self.folder / "run.json"))
        return kind, runs.parts_of(self.folder, kind)

    def _tail(self, part: runs.Part) -> Tail:
        return self.tails.setdefault(part.round, Tail(part.metrics))

    def _steps(self, parts: Sequence[runs.Part]) -> Iterator[Event]:
        for part in parts:
            for row in self._tail(part).rows():
                yield "step", {"round": part.round, "row": row}

    def _files(self, kind: str, parts: Sequence[runs.Part]) -> Iterator[Event]:
        """Decisions and reports that came or changed; round 0: the whole loop's report."""
        for part in parts:
            if part.decision and self._is_new(part.decision):
                yield "decision", {"round": part.round, "decision": runs.decision_of(part.decision)}
        for number, path in runs.reports_of(self.folder, kind, parts).items():
            if self._is_new(path):
                yield "report", {"round": number, "report": runs.report_of(path)}

    def _is_new(self, path: Path) -> bool:
        """Whether it came or was changed since the last look."""
        try:
            version = path.stat().st_mtime_ns
        except OSError:
            return False
        known, self.versions[path] = self.versions.get(path), version
        return version != known

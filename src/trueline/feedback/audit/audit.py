"""The whole audit: every finding about a snapshot, the tests among them corrected for being many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trueline.feedback.audit.agreement import agreement_findings, people_pairs
from trueline.feedback.audit.annotators import disagreement_findings, leniency_findings
from trueline.feedback.audit.contradictions import contradiction_findings, near_identical_findings
from trueline.feedback.audit.cycles import cycle_findings
from trueline.feedback.audit.duplicates import duplicate_findings, near_identical_answers
from trueline.feedback.audit.findings import Finding
from trueline.feedback.audit.floods import one_sided_findings, share_findings
from trueline.feedback.audit.naming import Named
from trueline.feedback.audit.passages import Passages
from trueline.feedback.audit.preferences import preference_findings, ties_finding
from trueline.feedback.audit.skew import skew_findings
from trueline.feedback.audit.statistics import holm
from trueline.feedback.audit.tables import comparison_table, dimensions_of, pair_table, rating_table
from trueline.feedback.audit.timing import LabelEvent, timing_findings
from trueline.feedback.snapshot import FeedbackSnapshot

RESAMPLES = 2000
ERROR_RATE = 0.05
ORDER = {"serious": 0, "warning": 1, "note": 2, "ok": 3}


@dataclass(frozen=True)
class Audit:
    """findings: the gravest first; tests: how many were made; simulated: whether simulated people judged too."""

    findings: tuple[Finding, ...]
    tests: int
    prompts: int
    completions: int
    ratings: int
    comparisons: int
    people: tuple[str, ...]
    simulated: bool
    snapshot_sha256: str

    @property
    def alarms(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity in ("serious", "warning"))


def audit(snapshot: FeedbackSnapshot, events: Sequence[LabelEvent] = (), resamples: int = RESAMPLES) -> Audit:
    """Look for everything. Labels are only looked at; none is changed or left out.

    events: the store's label events, for drift and speed; without them these are not looked at.
    """
    found = [*bias_tests(snapshot, events, resamples), *_counts(snapshot, resamples)]
    return Audit(
        tuple(sorted(found, key=lambda f: (ORDER[f.severity], f.adjusted if f.adjusted is not None else 1.0))),
        sum(f.p is not None for f in found),
        len(snapshot.prompts),
        len(snapshot.completions),
        len(snapshot.ratings),
        len(snapshot.comparisons),
        tuple(a.label for a in snapshot.annotators),
        any(a.simulated for a in snapshot.annotators),
        snapshot.sha256,
    )


def bias_tests(
    snapshot: FeedbackSnapshot, events: Sequence[LabelEvent] = (), resamples: int = RESAMPLES
) -> list[Finding]:
    """Every test, corrected; and what the times say beside tests."""
    found: list[Finding] = []
    named = Named.of(snapshot)
    rated = [rating_table(snapshot, d) for d in dimensions_of(snapshot)]
    for ratings in rated:
        pairs, compared = pair_table(snapshot, ratings.dimension), comparison_table(snapshot, ratings.dimension)
        found += preference_findings(snapshot, named, pairs, resamples)
        found += skew_findings(named, pairs, ratings, resamples)
        found += leniency_findings(ratings)
        found += [f for table in (ratings, compared) for f in disagreement_findings(people_pairs(table))]
        found += one_sided_findings(snapshot, ratings.dimension)
    return judged([*found, *timing_findings(events, rated)])


def judged(findings: Sequence[Finding]) -> list[Finding]:
    """The tests with their corrected p and what follows: over all of them together, a false alarm is raised in at most
    5% of audits of clean data. Each aspect has the same part of the 5%, which its tests share.
    """
    tests = [f for f in findings if f.p is not None]
    share = Counter(f.aspect for f in tests)
    adjusted = holm([f.p or 0.0 for f in tests], [1 / share[f.aspect] for f in tests])
    by_id = {f.id: float(a) for f, a in zip(tests, adjusted, strict=True)}
    return [_judged(f, by_id[f.id]) if f.p is not None else f for f in findings]


def _judged(finding: Finding, adjusted: float) -> Finding:
    if adjusted > ERROR_RATE:
        return replace(finding, adjusted=adjusted, severity="ok", advice="Nothing to do: chance explains it.")
    if not finding.large:
        return replace(finding, adjusted=adjusted, severity="note", advice="Real, but too small to act on.")
    return replace(finding, adjusted=adjusted, severity="serious" if finding.grave else "warning")


def _counts(snapshot: FeedbackSnapshot, resamples: int) -> list[Finding]:
    """What is counted rather than tested."""
    passages, near = Passages.of(snapshot), near_identical_answers(snapshot)
    found: list[Finding] = []
    for dimension in dimensions_of(snapshot):
        compared = comparison_table(snapshot, dimension)
        ties = ties_finding(compared, resamples)
        found += [ties] if ties is not None else []
        for table in (rating_table(snapshot, dimension), compared):
            found += agreement_findings(table, resamples)
        found += contradiction_findings(snapshot, dimension, passages)
        found += near_identical_findings(snapshot, dimension, near, passages)
        found += cycle_findings(snapshot, dimension, passages)
    return [*found, *duplicate_findings(snapshot, passages), *share_findings(snapshot)]

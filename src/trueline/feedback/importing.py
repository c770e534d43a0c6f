"""Import a file into the store: good rows go in, bad rows are named, nothing goes in twice.

A file of any size takes bounded memory. A stopped import is gone on with by importing the file again.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from trueline.config import PrivacyConfig
from trueline.errors import InputError
from trueline.feedback import tables as t
from trueline.feedback.formats import FORMATS, Item, RowError
from trueline.feedback.privacy.masking import masked_rows
from trueline.feedback.screening.earlier import Earlier, Label, labels_of, stored_labels
from trueline.feedback.screening.screen import NEAR, Near, Screen, Traits, chunks
from trueline.feedback.store import Added, FeedbackStore
from trueline.records import Prompt

BATCH, BYTES = 1_000, 8 << 20  # rows a transaction, and bytes of the file
KEPT = 10_000  # of errors, and of resemblances


@dataclass(frozen=True)
class Progress:
    """rows: read so far; place: bytes of the file's size."""

    rows: int
    place: int
    size: int


@dataclass(frozen=True)
class NearCopy:
    """A row whose prompt nearly reads like an earlier one, by its Jaccard index."""

    row: int
    unit: str
    prompt_id: str
    resembles: str
    alike: float
    skipped: bool


@dataclass(frozen=True)
class ImportReport:
    """left_out: rows with errors, of which `errors` has the first 10,000. repeated: rows that say nothing new.

    near: rows whose prompt resembles another (`near_copies` has the first 10,000), skipped: of these, left out as was
    asked. languages: new prompts in each. personal: new texts with personal data.
    """

    added: Added
    rows_read: int
    errors: tuple[RowError, ...]
    left_out: int = 0
    repeated: int = 0
    near: int = 0
    skipped: int = 0
    near_copies: tuple[NearCopy, ...] = ()
    languages: dict[str, int] = field(default_factory=dict)
    personal: int = 0


def import_file(
    store: FeedbackStore,
    format_name: str,
    path: Path,
    dimensions: tuple[str, ...],
    on_progress: Callable[[Progress], None] = lambda progress: None,
    near: Near = "flag",
    privacy: PrivacyConfig | None = None,
) -> ImportReport:
    """Read a file in one of FORMATS, 1,000 rows a transaction. InputError: an unknown format, a file of no use.

    near: prompts that nearly read like another are flagged, or their rows skipped; off: not looked for. privacy: what
    becomes of personal data; marked where not given.
    """
    privacy = privacy or PrivacyConfig()
    rows = reader(format_name)(path, dimensions)
    if privacy.mask == "mask":
        rows = masked_rows(rows, str(path))
    if near not in NEAR:
        raise InputError(f"near is {near!r}, must be one of {', '.join(NEAR)}")
    size = path.stat().st_size if path.exists() else 0
    running: _Import | None = None
    for batch in _batches(rows):  # the file's first rows come first, so that a file of no use changes nothing
        running = running or _Import(store, path, Screen.open(store, near, personal=privacy.mask != "off"))
        running.bring(batch)
        on_progress(Progress(running.rows, batch[-1].place, size))
    return running.report() if running else ImportReport(Added(), 0, ())


def reader(format_name: str) -> Callable[[Path, tuple[str, ...]], Iterator[Item | RowError]]:
    if format_name not in FORMATS:
        near = difflib.get_close_matches(format_name, FORMATS, n=1, cutoff=0.0)[0]
        raise InputError(f"format {format_name!r} is not known; did you mean {near!r}? There is {', '.join(FORMATS)}")
    return FORMATS[format_name]


class _Import:
    """An import that runs: what was found so far."""

    def __init__(self, store: FeedbackStore, path: Path, screen: Screen) -> None:
        self.store, self.path, self.screen = store, path, screen
        self.earlier = Earlier()
        self.added, self.rows, self.left_out, self.repeated, self.personal = Added(), 0, 0, 0, 0
        self.errors: list[RowError] = []
        self.copies: list[NearCopy] = []
        self.near, self.skipped = 0, 0
        self.languages: Counter[str] = Counter()

    def bring(self, batch: Sequence[Item | RowError]) -> None:
        self.rows += len(batch)
        items = self._consistent(batch)
        prompts = {p.id: p for item in items for p in _prompts(item)}
        completions = {e.completion.id: e.completion for item in items for e in item.exchanges}
        with self.store.reading() as c:
            known = _known(c, t.prompts, list(prompts)) | _known(c, t.completions, list(completions))
        new = {i: p for i, p in prompts.items() if i not in known}
        traits = self.screen.look(new)
        items = self._apart(items, traits)
        self._count_repeated(items, known)
        stored = {p.id: p for item in items for p in _prompts(item) if p.id in new}
        self.added += self.store.add(
            [e for item in items for e in item.exchanges],
            [r for item in items for r in item.ratings],
            [c for item in items for c in item.comparisons],
            [p for item in items for p in item.prompts],
        )
        answers = {e.completion.id for item in items for e in item.exchanges} - known
        self.personal += self.screen.keep(stored, traits, [completions[i] for i in answers])
        self.languages.update(traits[i].language for i in stored)

    def report(self) -> ImportReport:
        return ImportReport(
            self.added,
            self.rows,
            tuple(self.errors),
            self.left_out,
            self.repeated,
            self.near,
            self.skipped,
            tuple(self.copies),
            dict(self.languages.most_common()),
            self.personal,
        )

    def _consistent(self, batch: Sequence[Item | RowError]) -> list[Item]:
        """The rows that can be used; the others are named, in the file's order."""
        items = [x for x in batch if isinstance(x, Item)]
        said = iter(self.earlier.check(items))
        kept = []
        for x in batch:
            if isinstance(x, RowError):
                self._leave_out(x)
            elif (clash := next(said)) is not None:
                why = f"contradicts {x.unit} {clash}, where the same person judged otherwise"
                self._leave_out(RowError(str(self.path), x.row, why, x.unit))
            else:
                kept.append(x)
        return kept

    def _leave_out(self, error: RowError) -> None:
        self.left_out += 1
        if len(self.errors) < KEPT:
            self.errors.append(error)

    def _apart(self, items: Sequence[Item], traits: Mapping[str, Traits]) -> list[Item]:
        """Count the rows whose new prompt resembles another; without them where that is asked for."""
        kept = []
        for item in items:
            other = next((i for p in _prompts(item) if (i := p.id) in traits and traits[i].resembles), None)
            skipped = other is not None and self.screen.near == "skip"
            if other is not None and (alike := traits[other].resembles) is not None:
                self.near += 1
                self.skipped += skipped
                if len(self.copies) < KEPT:
                    copy = NearCopy(item.row, item.unit, other, alike.prompt_id, alike.alike, skipped)
                    self.copies.append(copy)
            if not skipped:
                kept.append(item)
        return kept

    def _count_repeated(self, items: Sequence[Item], known: Set[str]) -> None:
        """Rows whose texts are in the store, or in earlier rows, and whose labels say what counts already."""
        seen, old = set(known), []
        said: dict[Label, int] = {}
        for item in items:
            ids = {p.id for p in _prompts(item)} | {e.completion.id for e in item.exchanges}
            if ids <= seen:
                old.append(item)
            seen |= ids
        if not old:
            return
        with self.store.reading() as c:
            said.update(stored_labels(c, old))
        waiting = {id(item) for item in old}
        for item in items:
            labels = labels_of(item)
            self.repeated += id(item) in waiting and all(said.get(k) == v for k, v in labels.items())
            said.update(labels)


def _prompts(item: Item) -> tuple[Prompt, ...]:
    return (*item.prompts, *(e.prompt for e in item.exchanges))


def _known(c: sa.Connection, table: sa.Table, ids: Sequence[str]) -> set[str]:
    """Those of the ids that the store has."""
    return {i for part in chunks(ids) for i in c.execute(sa.select(table.c.id).where(table.c.id.in_(part))).scalars()}


def _batches(found: Iterator[Item | RowError]) -> Iterator[Sequence[Item | RowError]]:
    batch: list[Item | RowError] = []
    before = 0
    for item in found:
        batch.append(item)
        if len(batch) == BATCH or item.place > before + BYTES:
            yield batch
            batch, before = [], item.place
    if batch:
        yield batch

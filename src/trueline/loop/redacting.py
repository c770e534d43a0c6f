"""A project's files without what was erased: snapshots lose the rows, other files have "[erased]" where it stood."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.feedback.privacy.erasure import Erasure
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.project import Project

ERASED, SHORTEST = "[erased]", 8
PLAIN = (".md", ".html", ".csv", ".txt", ".log")
Cleaner = Callable[[str], str]


def rewrites(project: Project, what: Erasure, entry: int) -> Iterator[tuple[Path, bytes]]:
    """Each file in the project that holds any of it, with its new content; the same again where it was cut short.
    entry: of the log, which a redacted snapshot names.
    """
    clean = _cleaner(what)
    for path in sorted(project.folder.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or path.name == "trueline.toml":
            continue
        old = new = path.read_bytes() if path.suffix in (".json", ".jsonl", *PLAIN) else b""
        if path.name.endswith("snapshot.jsonl"):
            new = _snapshot(path, old, what, entry)
        elif path.suffix == ".json":
            new = _json(old, clean)
        elif path.suffix == ".jsonl":
            new = b"\n".join(_line(line, clean) for line in old.split(b"\n"))
        elif path.suffix in PLAIN:
            text = old.decode("utf-8", "surrogateescape")
            new = _plainly(what, clean)(text).encode("utf-8", "surrogateescape")
        if new != old:
            yield path, new


def without(snapshot: FeedbackSnapshot, what: Erasure) -> FeedbackSnapshot:
    """Without the people's labels, the texts, and all labels of these."""
    prompts = {i: p for i, p in snapshot.prompts.items() if i not in what.prompts}
    completions = {
        i: c for i, c in snapshot.completions.items() if i not in what.answers and c.prompt_id not in what.prompts
    }
    return FeedbackSnapshot(
        prompts,
        completions,
        tuple(r for r in snapshot.ratings if r.annotator.name not in what.names and r.completion_id in completions),
        tuple(
            x
            for x in snapshot.comparisons
            if x.annotator.name not in what.names and x.a_id in completions and x.b_id in completions
        ),
    )


def _snapshot(path: Path, old: bytes, what: Erasure, entry: int) -> bytes:
    try:
        before = FeedbackSnapshot.load(path)
    except InputError:
        return old
    after = without(before, what)
    if after.sha256 == before.sha256:
        return old
    head, body = json.loads(old.split(b"\n", 1)[0]), after.canonical
    head |= {"sha256": hashlib.sha256(body.encode()).hexdigest(), "redacted": [*head.get("redacted", []), entry]}
    return (json.dumps(head) + "\n" + body).encode()


def _cleaner(what: Erasure) -> Cleaner:
    """Of one string: whole texts wherever they stand, short ones where they are all of it, names as whole words."""
    texts = sorted(what.texts, key=lambda t: (-len(t), t))
    long = [re.escape(t) for t in texts if len(t) >= SHORTEST]
    names = [rf"(?<!\w){re.escape(n)}(?!\w)" for n in sorted(what.names, key=lambda n: (-len(n), n))]
    pattern = re.compile("|".join([*long, *names])) if long or names else None

    def clean(text: str) -> str:
        if text in what.texts:
            return ERASED
        return pattern.sub(ERASED, text) if pattern else text

    return clean


def _plainly(what: Erasure, clean: Cleaner) -> Cleaner:
    """Of a page: texts as they stand in HTML, JSON or a table's cell too."""
    forms = {f for t in what.texts if len(t) >= SHORTEST for f in _forms(t)}
    pattern = re.compile("|".join(re.escape(f) for f in sorted(forms, key=lambda f: (-len(f), f)))) if forms else None
    return lambda page: clean(pattern.sub(ERASED, page) if pattern else page)


def _forms(text: str) -> Iterator[str]:
    yield text
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield " ".join("".join(f"\\{c}" if c in "\\`*_{}[]<>#|~!&" else c for c in text).split())


def _json(old: bytes, clean: Cleaner) -> bytes:
    try:
        value = json.loads(old)
    except ValueError:
        return old
    new = _walk(value, clean)
    return old if new == value else (json.dumps(new, ensure_ascii=False, indent=1) + "\n").encode()


def _line(old: bytes, clean: Cleaner) -> bytes:
    try:
        value = json.loads(old)
    except ValueError:
        return old
    new = _walk(value, clean)
    return old if new == value else json.dumps(new).encode()


def _walk(value: Any, clean: Cleaner) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(k): _walk(v, clean) for k, v in value.items()}
    return [_walk(v, clean) for v in value] if isinstance(value, list) else value

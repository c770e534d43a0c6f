"""Texts in, labels out."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from trueline.errors import TruelineError
from trueline.feedback.accounts.log import write
from trueline.feedback.exporting.export import export
from trueline.feedback.formats import FORMATS
from trueline.feedback.importing import Progress, import_file
from trueline.feedback.labelling.items import add_items, unjudged
from trueline.feedback.labelling.measuring import weights
from trueline.feedback.labelling.progress import progress
from trueline.feedback.labelling.records import Refused
from trueline.feedback.preview import detect, preview
from trueline.web.api.bodies import Body
from trueline.web.site import Site
from trueline.web.who import Admin, Reviewer, SiteOf, Viewer

router = APIRouter(prefix="/api/v1", tags=["data"])
FOLDER, SHOWN_ERRORS = ".uploads", 50
UploadId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
EXPORTS = {
    "judgements.jsonl": "judgements",
    "judgements.csv": "judgements",
    "preferences.jsonl": "preferences",
    "ratings.jsonl": "ratings",
    "rows.jsonl": "jsonl",
}


class ImportBody(Body):
    format: Literal[tuple(FORMATS)]  # type: ignore[valid-type]
    near: Literal["flag", "skip", "off"] = "flag"


@router.get("/counts")
def counts(site: SiteOf, me: Viewer) -> dict[str, dict[str, int]]:
    """Rows of the store, and how far the queue is."""
    return {"store": site.store.counts(), "queue": progress(site.store, me.name, site.queue.clock())}


@router.post("/queue")
def queue(site: SiteOf, me: Admin) -> dict[str, int]:
    """Put answers that nobody has judged into the queue; how many items are new."""
    return {"added": add_items(site.store, unjudged(site.store), site.config.labelling.judgements)}


@router.post("/imports", status_code=201)
def upload(
    site: SiteOf,
    me: Admin,
    file: Annotated[UploadFile, File(description="The file as it is.")],
    format: Annotated[str, Form(max_length=40, description="Its format; found by its first rows where empty.")] = "",
) -> dict[str, Any]:
    """Keep a file and look into it: its first rows as people would see them, and what is wrong. Nothing is imported."""
    folder = site.folder / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    name = secrets.token_hex(16)
    ending = re.sub("[^a-z]", "", Path(file.filename or "").suffix.lower())[:10]
    path = folder / f"{name}.{ending or 'txt'}"
    with path.open("wb") as kept:
        shutil.copyfileobj(file.file, kept, 1 << 20)
    try:
        seen = preview(path, format or detect(path, site.dimensions), site.dimensions)
    except TruelineError as error:
        path.unlink(missing_ok=True)
        raise Refused(422, str(error).replace(str(path), file.filename or "file"), field="file") from error
    return {"upload": name, **seen.as_json()}


@router.post("/imports/{upload}", status_code=202)
def start(upload: UploadId, body: ImportBody, request: Request, site: SiteOf, me: Admin) -> dict[str, Any]:
    """Import a file that was looked into, in the background; twice does it once."""
    path, running = _kept(site, upload), _running(request)
    if running.setdefault(upload, {"state": "running", "rows": 0}).get("thread") is None:
        thread = threading.Thread(target=_import, args=(site, path, body, running[upload], me.name), daemon=True)
        running[upload]["thread"] = thread
        thread.start()
    return _state(running[upload])


@router.get("/imports/{upload}")
def state(upload: UploadId, request: Request, me: Admin) -> dict[str, Any]:
    """state: running, done or failed; rows so far; what was added, and the rows that could not be used."""
    found = _running(request).get(upload)
    if found is None:
        raise Refused(404, f"no import {upload} is under way; upload the file again, nothing goes in twice")
    return _state(found)


@router.get("/export/{name}", response_class=FileResponse)
def get_export(
    name: Literal[tuple(EXPORTS)],  # type: ignore[valid-type]
    site: SiteOf,
    me: Reviewer,
) -> FileResponse:
    """A whole export as a file. Preferences carry the annotators' weights."""
    folder = Path(tempfile.mkdtemp(prefix="trueline-export-"))
    export(site.store, EXPORTS[name], folder / name, weights(site.store) if name.startswith("preferences") else None)
    return FileResponse(folder / name, filename=name, background=BackgroundTask(shutil.rmtree, folder, True))


def _kept(site: Site, upload: str) -> Path:
    found = next(iter((site.folder / FOLDER).glob(f"{upload}.*")), None)
    if found is None:
        raise Refused(404, f"no upload {upload}; upload the file again")
    return found


def _running(request: Request) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = request.app.state.imports
    return found


def _state(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "thread"}


def _import(site: Site, path: Path, body: ImportBody, state: dict[str, Any], who: str) -> None:
    def seen(now: Progress) -> None:
        state.update(rows=now.rows)

    try:
        report = import_file(site.store, body.format, path, site.dimensions, seen, body.near, site.config.privacy)
        queued = add_items(site.store, unjudged(site.store), site.config.labelling.judgements)
        with site.store.transaction() as c:
            write(c, site.queue.clock(), who, "import", body.format, rows=report.rows_read, **vars(report.added))
        errors = [str(e).replace(str(path), "file") for e in report.errors[:SHOWN_ERRORS]]
        state.update(rows=report.rows_read, added=vars(report.added), queued=queued, errors=errors, state="done")
        path.unlink(missing_ok=True)
    except TruelineError as error:
        state.update(state="failed", error=str(error).replace(str(path), "file"))

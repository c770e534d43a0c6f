"""A project from a scenario pack: its files, its settings, and its prompts in the store; all of it, or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from trueline import config as settings
from trueline import durable
from trueline.errors import InputError
from trueline.evaluate.judges.rules import read_rules
from trueline.feedback.importing import ImportReport, import_file
from trueline.feedback.store import FeedbackStore
from trueline.scenarios.pack import PROMPTS, Pack, read_pack


def open_pack(folder: Path) -> Pack:
    """A pack with all that is in it checked, its rules too."""
    pack = read_pack(folder)
    if pack.config.evaluate.rules:
        read_rules(folder / pack.config.evaluate.rules)
    return pack


def start_project(folder: Path, pack: Pack) -> ImportReport:
    """Write the project into a folder that is new or empty. InputError: it is not, or one stands in it."""
    target = folder.resolve()
    if (target / settings.FILE_NAME).exists():
        raise InputError(f"{folder / settings.FILE_NAME}: exists already; edit it, or choose another folder")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{folder}: is not an empty folder; a pack's files would mix with others, choose a new one")
    if target == Path.cwd():
        raise InputError(f"{folder}: is where you stand; go up and name a new folder, it is put in place at once")
    reports: list[ImportReport] = []
    durable.write_folder(target, lambda pending: reports.append(_fill(pending, pack)))
    return reports[0]


def _fill(folder: Path, pack: Pack) -> ImportReport:
    for path in pack.files:
        shutil.copyfile(path, folder / path.name)
    durable.write_file(folder / settings.FILE_NAME, settings.render(pack.config).encode())
    with FeedbackStore.open(settings.store_place(folder, pack.config)) as store:
        dimensions, privacy = pack.config.project.dimensions, pack.config.privacy
        return import_file(store, "jsonl", folder / PROMPTS, dimensions, privacy=privacy)

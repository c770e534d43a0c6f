"""trueline export"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish
from trueline.errors import InputError

if TYPE_CHECKING:
    from trueline.evaluate.policy_card import Form

MODEL = "model"


def export(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="model; or of what people said: judgements, preferences, ratings, jsonl, dataset, snapshot, or for "
            "TRL trl-preference, trl-unpaired, trl-prompts, trl-messages.",
        ),
    ],
    places: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] OUT",
            help="The file to write; for dataset a folder; for model the run or loop, and a folder.",
        ),
    ],
    project: ProjectOption = Path(),
    dimension: Annotated[str, typer.Option(help="For trl-...: of which dimension, where there are several.")] = "",
    adapter: Annotated[bool, typer.Option("--adapter", help="Of a model: the LoRA matrices alone, for peft.")] = False,
    gguf: Annotated[bool, typer.Option("--gguf", help="Of a model: one file, by llama.cpp's converter.")] = False,
    push: Annotated[str, typer.Option(help="Of a model: upload it to the hub under this name, private.")] = "",
    public: Annotated[bool, typer.Option("--public", help="With --push: for everybody to read.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what people said, every event or the labels that count now; or a trained model with its card."""
    if kind == MODEL:
        if len(places) != 2:
            raise InputError("export model: name the run or loop, and the folder to write")
        if adapter and gguf:
            raise InputError("--adapter beside --gguf: they are two forms; export one after the other")
        if dimension:
            raise InputError("--dimension goes with the trl- kinds; a model has none")
        if public and not push:
            raise InputError("--public goes with --push; name the repository")
        run, out = places
        _model(run, out, project, "adapter" if adapter else "gguf" if gguf else "merged", push, public, as_json)
        return
    if adapter or gguf or push or public:
        raise InputError(f"--adapter, --gguf, --push and --public go with `trueline export {MODEL} RUN OUT`")
    if len(places) != 1:
        raise InputError(f"export {kind}: name the file to write, and nothing else")
    _labels(kind, places[0], project, dimension, as_json)


def _labels(kind: str, out: Path, project: Path, dimension: str, as_json: bool) -> None:
    from trueline.feedback.exporting.export import export as write
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.project import Project
    from trueline.loop.provenance import record

    opened = Project.open(project)
    with FeedbackStore.open(opened.store_path) as store:
        done = write(store, kind, out, dimension=dimension)
    record(opened, "export", out, {}, again=True)
    counts = ", ".join(f"{n:,} {name}" for name, n in done.rows.items())
    mark = f"; sha256 {done.sha256}" if done.sha256 else ""
    result = {"export": str(done.path), "rows": done.rows, "sha256": done.sha256}
    finish(result, f"{done.path}: {counts}{mark}", as_json=as_json)


def _model(run: Path, out: Path, project: Path, form: Form, push: str, public: bool, as_json: bool) -> None:
    from trueline.config import FILE_NAME
    from trueline.loop.hub import push as upload
    from trueline.loop.model_export import export_model
    from trueline.loop.project import Project
    from trueline.loop.provenance import record
    from trueline.serving.opening import find_model

    name, place = find_model(str(run), project)
    done = export_model(name, Path(place), out, form)
    if (project / FILE_NAME).exists():
        record(Project.open(project), "export", out, {"policy": Path(place)}, again=True)
    address = upload(out, push, public=public) if push else None
    result = {"export": str(out), "form": form, "name": name, "bytes": done.size, "hub": address}
    told = f"{out}: {name}, {form}, {done.size / 1e6:,.1f} MB; what it is stands in {out / 'README.md'}"
    finish(result, told + (f"\n{address}" if address else ""), as_json=as_json)

"""A scenario pack: a folder of plain files from which a project is begun.

pack.toml       what it is for, in a sentence: en = "...", and zh where it has one
trueline.toml   the settings that differ from the defaults
prompts.jsonl   rows of our own JSON lines, some of the train and some of the test split
guidelines*.md  how to judge, for the labelling page
rules.toml      rules of the judge, where evaluate.rules names them
README.md       what it rests on

A project that was begun from a pack is one itself, so that it can be changed and begun from again.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trueline import config as settings
from trueline.config import Config
from trueline.errors import InputError
from trueline.feedback.formats import RowError
from trueline.feedback.formats.own import read_jsonl
from trueline.records import Prompt, Split, in_split

FOLDER = Path(__file__).parent / "packs"
SENTENCES, PROMPTS = "pack.toml", "prompts.jsonl"
# What a file from somebody else may not decide: where labels go, whose code runs.
NOT_IN_A_PACK = (
    ("project", "store"),
    ("policy", "trust_remote_code"),
    ("labelling", "webhook"),
    ("evaluate", "model_url"),
)


@dataclass(frozen=True)
class Pack:
    """files: what a project gets as it is."""

    folder: Path
    sentences: dict[str, str]
    config: Config
    prompts: tuple[Prompt, ...]
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.folder.name


def pack_names() -> tuple[str, ...]:
    """Those that come with Trueline."""
    return tuple(sorted(p.name for p in FOLDER.iterdir() if (p / SENTENCES).is_file()))


def find_pack(scenario: str, others: Sequence[str] = ()) -> Path:
    """The folder of a pack that comes with Trueline, else one's own. InputError names the nearest; others: what else
    there is to choose.
    """
    if scenario in pack_names():
        return FOLDER / scenario
    if scenario and Path(scenario).is_dir():
        return Path(scenario).resolve()
    known = [*others, *pack_names()]
    near = difflib.get_close_matches(scenario, known, n=1, cutoff=0.0)[0]
    raise InputError(
        f"scenario {scenario!r} is not known, and no folder; did you mean {near!r}? There is {', '.join(known)}, "
        "or the path of your own pack's folder"
    )


def read_pack(folder: Path) -> Pack:
    """InputError names the file, what is wrong with it and what to do. The rules are read by who knows their language
    (`loop.starting`).
    """
    for name in (SENTENCES, settings.FILE_NAME, PROMPTS):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: is missing; a scenario pack needs it")
    sentences = _sentences(folder / SENTENCES)
    config = _config(folder / settings.FILE_NAME)
    guidelines = sorted(folder.glob("guidelines*.md"))
    if not guidelines:
        raise InputError(f"{folder / 'guidelines.en.md'}: is missing; say there how to judge, people will read it")
    if blank := [path for path in guidelines if not path.read_text("utf-8", errors="replace").strip()]:
        raise InputError(f"{blank[0]}: is empty; say there how to judge, or take it away")
    own = [SENTENCES, PROMPTS, "README.md", config.evaluate.rules]
    files = (*guidelines, *(folder / name for name in own if name and (folder / name).is_file()))
    return Pack(folder, sentences, config, _prompts(folder / PROMPTS, config), files)


def _sentences(path: Path) -> dict[str, str]:
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    if "en" not in found:
        raise InputError(f'{path}: has no en; say in a sentence what the pack is for: en = "..."')
    if wrong := [key for key, value in found.items() if key not in ("en", "zh") or not isinstance(value, str)]:
        raise InputError(f"{path}: {wrong[0]!r} is not known here; there is en and zh, each a sentence")
    return found


def _config(path: Path) -> Config:
    """The pack's settings as a project's: its prompts are in the store, and no embedded scenario's."""
    found, default = settings.load(path), Config()
    for section, name in NOT_IN_A_PACK:
        if getattr(getattr(found, section), name) != getattr(getattr(default, section), name):
            raise InputError(f"{path}: {section}.{name} is not a pack's to set; take it out, set it in your project")
    rules = found.evaluate.rules
    if rules != Path(rules).name:
        raise InputError(f"{path}: evaluate.rules is {rules!r}, must be a plain name of a file beside it")
    return settings.changed(found, "project", scenario="")


def _prompts(path: Path, config: Config) -> tuple[Prompt, ...]:
    prompts: dict[str, Prompt] = {}
    for item in read_jsonl(path, config.project.dimensions):
        if isinstance(item, RowError):
            raise InputError(f"{item}; mend the row")
        prompts |= {p.id: p for p in (*item.prompts, *(e.prompt for e in item.exchanges))}
    needed: tuple[Split, ...] = ("train", "test")
    for split in needed:
        if not in_split(list(prompts.values()), split):
            raise InputError(
                f'{path}: has no prompt of the {split} split; add some with "prompt_meta": {{"split": "{split}"}}'
            )
    return tuple(prompts.values())

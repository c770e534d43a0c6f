"""A project folder: trueline.toml, the feedback store, and runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trueline import config as settings
from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.records import Prompt, Split, in_split
from trueline.scenarios import Scenario, load_scenario


@dataclass(frozen=True)
class Project:
    folder: Path
    config: Config

    @classmethod
    def open(cls, folder: Path) -> Project:
        return cls(folder, settings.load(folder / settings.FILE_NAME))

    @classmethod
    def create(cls, folder: Path, config: Config) -> Project:
        """Write a commented trueline.toml; InputError where there is one already."""
        target = folder / settings.FILE_NAME
        if target.exists():
            raise InputError(f"{target}: exists already; edit it, or choose another folder")
        durable.write_file(target, settings.render(config).encode())
        return cls(folder, config)

    @property
    def store_path(self) -> Path | str:
        """A file, or a database's URL."""
        return settings.store_place(self.folder, self.config)

    @property
    def scenario(self) -> Scenario | None:
        return load_scenario(self.config.project.scenario) if self.config.project.scenario else None

    @property
    def labelled_by_people(self) -> bool:
        """Whether labels are people's, rather than those of a scenario's simulated annotators."""
        return self.config.project.scenario == "" or self.config.collect.labelled_by != "simulated"

    @property
    def base_policy(self) -> str:
        """Where the policy that everything starts from is: a folder or a hub name."""
        model = self.config.policy.model
        if model == "scenario":
            if self.scenario is None or self.scenario.policy_folder is None:
                none = "there is none" if self.scenario is None else f"{self.scenario.name} comes without a policy"
                raise InputError(
                    f"{self.folder / settings.FILE_NAME}: policy.model is 'scenario' but {none}; name a model"
                )
            return str(self.scenario.policy_folder)
        local = self.folder / model
        return str(local if local.is_dir() else model)

    def prompts(self, n: int, split: Split, seed: int, *, may_lack: bool = False) -> list[Prompt]:
        """n prompts of a split (all of them where there are fewer): the scenario's; else those imported without an
        answer; else all, those that came with labelled answers too. Never what users of a served model asked: who asks
        is not to decide what is trained on. InputError where there are none, unless they may lack.
        """
        if self.scenario is not None:
            return self.scenario.prompts(n, split, seed)
        from trueline.feedback.store import FeedbackStore
        from trueline.feedback.users import of_user
        from trueline.policy.randomness import generator

        with FeedbackStore.open(self.store_path) as store:
            own = [p for p in store.open_prompts() if not of_user(p)] or [p for p in store.prompts() if not of_user(p)]
            found = sorted(in_split(own, split), key=lambda p: p.id)
        if not found and not may_lack:
            raise InputError(f"{self.store_path}: no prompts in the {split} split; import some with `trueline import`")
        order = generator("prompts", split, seed).permutation(len(found))
        return [found[i] for i in order[:n]]

    def prompts_to_ask(self, n: int, seed: int, round_: int) -> list[Prompt]:
        """n of the train split, and a quarter as many of the test split, by which what is learned will be measured; of
        one's own prompts as many as there are, and some of the train split at least.
        """
        asked = self.prompts(n, "train", seed * 1000 + round_)
        return asked + self.prompts(max(1, n // 4), "test", seed * 1000 + 500 + round_, may_lack=True)

    def run_folder(self, name: str) -> Path:
        """The folder of a run; it stays inside the project."""
        runs = (self.folder / "runs").resolve()
        target = (runs / name).resolve()
        if target.parent != runs:
            raise InputError(f"run name {name!r}: must be a plain name without slashes")
        return target

    def reward_folder(self, name: str) -> Path:
        """The folder of a reward model; it stays inside the project."""
        if Path(name).name != name or name in {"", ".", ".."}:
            raise InputError(f"reward model {name!r}: must be a plain name without slashes")
        return self.folder / "rewards" / name

    def next_run(self, kind: str) -> str:
        taken = {p.name for p in (self.folder / "runs").glob(f"{kind}-*")}
        return next(name for i in range(1, 10_000) if (name := f"{kind}-{i:03d}") not in taken)


def relative(path: str, start: Path) -> str:
    """A path as a run notes it: relative to the run where it is a folder, so that a project can be moved."""
    return os.path.relpath(path, start) if Path(path).is_dir() else path


def absolute(path: str, start: Path) -> str:
    """The other way round."""
    return str((start / path).resolve()) if (start / path).is_dir() else path

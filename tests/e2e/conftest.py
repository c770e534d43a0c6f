"""A project small enough to go the whole way in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import trueline

from trueline.config import (
    AlignConfig,
    CollectConfig,
    Config,
    EvaluateConfig,
    LoopConfig,
    PolicyConfig,
    ProjectConfig,
    render,
)


@pytest.fixture(scope="session")
def small_config(tiny_folder: Path) -> Config:
    """A whole round in seconds: a tiny random policy, few prompts, few steps."""
    return Config(
        project=ProjectConfig(seed=1),
        policy=PolicyConfig(model=str(tiny_folder), max_new_tokens=10, max_prompt_tokens=48),
        collect=CollectConfig(prompts=24, prompts_later=16, completions=2, annotators=4),
        align=AlignConfig(steps=3, prompts_per_step=4, samples_per_prompt=2, workers=2),
        evaluate=EvaluateConfig(prompts=10, bootstrap=100),
        loop=LoopConfig(rounds=2),
    )


@pytest.fixture
def project(tmp_path: Path, small_config: Config) -> Path:
    """A project folder with that configuration."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trueline.toml").write_text(render(small_config))
    return folder


@pytest.fixture(scope="session")
def gone_before(tmp_path_factory, small_config: Config) -> Path:
    """The project with labels, a reward model and a finished run, `whole`; not to be changed."""
    folder = tmp_path_factory.mktemp("gone") / "project"
    folder.mkdir()
    (folder / "trueline.toml").write_text(render(small_config))
    for words in (("collect",), ("reward",), ("align", "--name", "whole")):
        done = trueline(*words, "-p", folder)
        assert done.code == 0, done.err
    assert "step   3/3" in done.out
    return folder


@pytest.fixture
def ready(gone_before: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on with."""
    return shutil.copytree(gone_before, tmp_path / "project")


@pytest.fixture
def visitor(browser):
    """visitor(**context options): an empty page of a person's own; nothing must have gone wrong in it at the end."""
    contexts, errors = [], []

    def open_(**options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        page = context.new_page()
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text) if "Content Security Policy" in m.text else None)
        contexts.append(context)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []

"""A project small enough to go the whole way in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

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

"""An example's modules by name, fresh: each example has a run.py."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def modules_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Callable[[str], ModuleType]]]:
    """modules_of("fiction")("readers"): that module; none of the example's is left behind."""
    names: set[str] = set()

    def of(example: str) -> Callable[[str], ModuleType]:
        monkeypatch.syspath_prepend(str(EXAMPLES / example))
        names.update(path.stem for path in (EXAMPLES / example).glob("*.py"))
        for name in names:
            sys.modules.pop(name, None)
        return importlib.import_module

    yield of
    for name in names:
        sys.modules.pop(name, None)

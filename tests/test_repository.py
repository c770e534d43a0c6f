"""What the repository promises about itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from trueline.cli.main import COMMANDS
from trueline.config import render

ROOT = Path(__file__).resolve().parents[1]


def test_every_module_is_on_the_map():
    """docs/architecture.md names each file, or the folder of those that are alike."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    alike = {"cli", "formats", "algorithms", "migrations", "versions"}
    for path in (ROOT / "src" / "trueline").rglob("*.py"):
        if path.name != "__init__.py" and path.parent.name not in alike:
            assert f"`{path.name}`" in page, f"docs/architecture.md does not name {path.relative_to(ROOT)}"


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [c for c in COMMANDS if f"trueline {c}" not in readme] == []


def test_the_configuration_reference_is_the_real_one():
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert render() in page, "docs/configuration.md is old: put the output of trueline init into it"


@pytest.mark.parametrize("heavy", ["torch", "transformers", "sklearn", "sqlalchemy", "plotly"])
def test_help_does_not_import_what_is_slow(heavy):
    code = (
        "import sys; sys.argv = ['trueline', '--help']\n"
        "from trueline.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"assert {heavy!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_nothing_loads_a_pickle():
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text("utf-8")
        assert "import pickle" not in text and "torch.load(" not in text and "joblib" not in text, path

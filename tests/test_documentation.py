"""What the documentation tells people to type is what the program takes."""

from pathlib import Path

import pytest
import typer
from documented import commands

from trueline.cli.main import app
from trueline.cli.reference import render

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    p for part in ("docs", "deploy", "examples") for p in (ROOT / part).rglob("*.md") if p.name != "commands.md"
)
NUMBERS = {"HOURS": "1", "N": "1", "PORT": "8000"}


def parse(command, words, name="trueline"):
    """What the program makes of the words, without running anything."""
    context = command.make_context(name, [NUMBERS.get(w, w) for w in words])
    while hasattr(command, "commands") and (rest := [*context._protected_args, *context.args]):
        name, command, left = command.resolve_command(context, rest)
        context = command.make_context(name, left, parent=context)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_the_program_takes(page):
    root = typer.main.get_command(app)
    for words in commands(page):
        if words[0].isupper() or "..." in words:
            continue
        try:
            parse(root, words)
        except Exception as error:
            said = error.format_message() if hasattr(error, "format_message") else error
            pytest.fail(f"trueline {' '.join(words)}: {said}")


def test_a_wrong_option_would_be_found():
    with pytest.raises(Exception, match=r"(?i)no such option"):
        parse(typer.main.get_command(app), ["align", "--no-such-option"])


def test_the_reference_of_commands_is_the_real_one():
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert page == render(), "docs/commands.md is old: python -m trueline.cli.reference > docs/commands.md"


def test_every_page_is_in_the_reading_order():
    order = (ROOT / "docs" / "README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in order, f"docs/README.md does not lead to {page.name}"

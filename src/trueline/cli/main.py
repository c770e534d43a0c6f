"""The `trueline` command: names the commands, and turns errors into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from trueline.cli import (
    align,
    audit,
    collect,
    evaluate,
    export,
    import_,
    init,
    loop,
    monitor,
    plan,
    pretrain,
    privacy,
    quickstart,
    report,
    resume,
    rewards,
    serve,
    verify,
    watermark,
    worker,
)
from trueline.errors import TruelineError

INTERRUPTED = 130
app = typer.Typer(
    name="trueline",
    help="Align a language model with human feedback: collect and label, learn a reward, align, evaluate, again.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "quickstart": quickstart.quickstart,
    "init": init.init,
    "import": import_.import_,
    "export": export.export,
    "pretrain": pretrain.pretrain,
    "collect": collect.collect,
    "audit": audit.audit,
    "align": align.align,
    "evaluate": evaluate.evaluate,
    "loop": loop.loop,
    "resume": resume.resume,
    "report": report.report,
    "serve": serve.serve,
    "worker": worker.worker,
    "plan": plan.plan,
    "monitor": monitor.monitor,
    "verify": verify.verify,
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
app.add_typer(rewards.app, name="reward")
app.add_typer(watermark.app, name="watermark")
app.add_typer(privacy.app, name="privacy")


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the whole traceback of an error."),
) -> None:
    if debug:
        os.environ["TRUELINE_DEBUG"] = "1"


def main() -> None:
    """Run a command; exit code 0, 2 for unusable input, 1 for a fault at run time."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        code = app(standalone_mode=False)
    except TruelineError as error:
        _fail(str(error), error.exit_code)
    except Exception as error:
        _fail(*_explain(error))
    if code == INTERRUPTED:
        _fail("stopped; every finished step is saved, go on with `trueline resume RUN`", 1)
    sys.exit(code or 0)


def _explain(error: Exception) -> tuple[str, int]:
    """One line and an exit code for an error that no stage of ours has named."""
    if hasattr(error, "format_message"):  # a wrong option or argument; typer keeps the class to itself
        return error.format_message(), 2
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; what was finished is kept, mend this and run the command again", 1
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first} (show all with `trueline --debug ...`)", 1


def _fail(message: str, code: int) -> None:
    if os.environ.get("TRUELINE_DEBUG") and sys.exc_info()[0]:
        import traceback

        traceback.print_exc()
    if message:
        print(f"trueline: {message}", file=sys.stderr)
    sys.exit(code)

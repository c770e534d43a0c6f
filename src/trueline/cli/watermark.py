"""trueline watermark"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, say
from trueline.errors import InputError

CERTAIN = 1e-3
ENOUGH = 50  # tokens from which on a mark is found more often than not

app = typer.Typer(help="A secret mark in what a served model says: make its key, look for it in a text.")


@app.command("new-key")
def new_key(file: Annotated[Path, typer.Argument(help="The file to make, readable by you alone.")]) -> None:
    """Make a key for `trueline serve --watermark`; it is not shown."""
    from trueline.serving.watermark import new_key as make

    make(file)
    say(f"{file}: a new key; keep it, without it what was marked cannot be told")


@app.command()
def detect(
    text: Annotated[str, typer.Argument(metavar="FILE|TEXT", help="What a model is thought to have said.")],
    key: Annotated[Path, typer.Option(help="The key that it was served with.")],
    model: Annotated[str, typer.Option(help="The model that it is thought to be: a run, a folder or a hub name.")],
    project: ProjectOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say whether a text bears the mark of a key: z, and the chance p of as much in a text without it."""
    from transformers import AutoConfig

    from trueline.policy.load import load_tokenizer
    from trueline.serving.opening import find_model
    from trueline.serving.watermark import detect as look
    from trueline.serving.watermark import read_key, vocabulary_of

    watermark = read_key(key)
    _, place = find_model(model, project)
    try:
        tokenizer, config = load_tokenizer(place), AutoConfig.from_pretrained(place)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{model}: its tokenizer cannot be read ({reason}); name a run or model folder") from error
    found = look(watermark, tokenizer.encode(_read(text), add_special_tokens=False), vocabulary_of(config))
    told = "bears the mark of this key" if found.p < CERTAIN else "no sign of this key's mark"
    short = f"; under {ENOUGH} tokens a mark is easily missed" if found.p >= CERTAIN and found.tokens < ENOUGH else ""
    result = {"marked": found.p < CERTAIN, "z": found.z, "p": found.p, "tokens": found.tokens, "green": found.green}
    line = f"{told}: z {found.z:.2f}, p {found.p:.2g}; {found.green} of {found.tokens} tokens are green, by chance"
    finish(result, f"{line} {watermark.ratio * found.tokens:.0f} would be{short}", as_json=as_json)


def _read(text: str) -> str:
    """A file's content where there is one of that name."""
    try:
        path = Path(text)
        return path.read_text("utf-8") if path.is_file() else text
    except UnicodeDecodeError as error:
        raise InputError(f"{text}: is not UTF-8 text; save the file as UTF-8") from error
    except (OSError, ValueError):  # too long for a name, and so a text
        return text

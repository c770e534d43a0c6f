"""trueline pretrain"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, finish, say

SHOWN_ERRORS = 20


def pretrain(
    file: Annotated[
        Path, typer.Argument(help='JSON lines of chats {"messages": [...]} or texts {"text": ...}, or a .txt file.')
    ],
    out: Annotated[Path, typer.Option(help="The policy's folder; set policy.model to it afterwards.")],
    layers: Annotated[int, typer.Option(min=1, help="Layers of the Llama.")] = 4,
    width: Annotated[int, typer.Option(min=32, help="Hidden size, a multiple of 32.")] = 192,
    vocabulary: Annotated[int, typer.Option(min=300, help="Tokens of the tokenizer, which is trained too.")] = 2048,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 1500,
    batch: Annotated[int, typer.Option(min=1, help="Rows in a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=1e-7, help="Peak rate of AdamW, then cosine to a tenth.")] = 2e-3,
    context: Annotated[int, typer.Option(min=16, help="Longest row: prompt and answer together. Tokens.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another model.")] = 0,
    characters: Annotated[
        bool, typer.Option("--characters", help="No token of two Chinese characters, so that verse can be counted.")
    ] = False,
    first: Annotated[
        Path | None, typer.Option(help="Another such file that the first steps learn from, such as facts to copy.")
    ] = None,
    first_steps: Annotated[int, typer.Option(min=0, help="How many of the steps those are.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Pretrain a small policy on your own text. Stopped anywhere, the same command goes on."""
    from trueline.errors import RunError
    from trueline.policy.keeper import Progress
    from trueline.policy.pretrain import PretrainSettings
    from trueline.policy.pretrain import pretrain as run

    def show(p: Progress) -> None:
        losses = f"loss {p.loss:.3f}  held-out loss {p.held_out_loss:.3f}"
        say(f"  step {p.step:5d}/{steps}  {losses}  {p.seconds:6.0f} s", as_json=as_json)

    settings = PretrainSettings(
        layers, width, vocabulary, steps, batch, learning_rate, context, seed, characters, first_steps
    )
    try:
        done = run(file, out, settings, lambda text: say(text, as_json=as_json), show, first)
    except KeyboardInterrupt:
        raise RunError("stopped; run the same command again to go on from the last line above") from None
    for error in done.errors[:SHOWN_ERRORS]:
        say(str(error), as_json=as_json)
    if len(done.errors) > SHOWN_ERRORS:
        say(f"... and {len(done.errors) - SHOWN_ERRORS} more lines left out", as_json=as_json)
    result = {
        "policy": str(done.folder),
        "parameters": done.parameters,
        "perplexity": done.perplexity,
        "errors": [str(e) for e in done.errors],
    }
    text = f"held-out perplexity {done.perplexity:.2f} a token\npolicy: {done.folder}"
    finish(result, text, as_json=as_json)

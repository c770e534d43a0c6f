"""GGUF, the form of llama.cpp and what builds on it, by llama.cpp's own converter: a program of its own, run as one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trueline import durable
from trueline.errors import InputError, RunError

VARIABLE, SCRIPT = "LLAMA_CPP", "convert_hf_to_gguf.py"
TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def find_converter() -> Sequence[str]:
    """The command that begins a conversion: that of $LLAMA_CPP, a checkout of llama.cpp, by this Python; else that of
    the PATH, by its own. InputError: there is none.
    """
    if named := os.environ.get(VARIABLE):
        script = Path(named) / SCRIPT if Path(named).is_dir() else Path(named)
        if not script.is_file():
            raise InputError(f"{VARIABLE} is {named}: there is no {SCRIPT}; name the folder of a llama.cpp checkout")
        return sys.executable, str(script)
    if found := shutil.which(SCRIPT):
        return (found,)
    raise InputError(
        f"GGUF needs llama.cpp's {SCRIPT}: get github.com/ggml-org/llama.cpp, pip install gguf, and set {VARIABLE} to "
        "its folder"
    )


def convert(converter: Sequence[str], folder: Path, target: Path, name: str) -> None:
    """A merged model's folder as one file, its numbers as they are: to quantise it is llama-quantize's work.

    RunError: the converter refuses the model, such as one whose tokenizer llama.cpp does not know.
    """
    config = durable.read_json(folder / "config.json")
    numbers = TYPES.get(config.get("dtype") or config.get("torch_dtype") or "", "auto")
    command = [*converter, str(folder), "--outfile", str(target), "--outtype", numbers, "--model-name", name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode or not target.is_file():
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = said[-1] if said else "without a word"
        raise RunError(
            f"{Path(converter[-1]).name} ended with {done.returncode} ({last}); where a module is missing, install "
            "what llama.cpp's requirements.txt names; else it does not know such a model"
        )

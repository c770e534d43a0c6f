"""An assistant that books and schedules with tools, from raw text to a policy aligned by what it gets done.

    python examples/booking/run.py --data DATA --out runs/booking

Prints every `trueline` command before it runs it; whatever is finished is not done again. README.md says what came out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from convert import demonstrations, dialogues, notes, write_chats

HERE = Path(__file__).parent
NOTES, DIALOGUES, DEMONSTRATIONS = 40_000, 300, 8000
SIZE = ("--layers", "3", "--width", "128", "--vocabulary", "1024", "--context", "288")
TRAINING = ("--first-steps", "550", "--steps", "1150", "--batch", "64", "--learning-rate", "1.2e-3")


def trueline(*arguments: str | Path) -> None:
    """Run a command; leave with its exit code where it fails."""
    words = [str(a) for a in arguments]
    print("\n$ trueline " + " ".join(f'"{w}"' if " " in w else w for w in words), flush=True)
    code = subprocess.run([sys.executable, "-m", "trueline", *words]).returncode
    if code:
        sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretraining, episodes in a sandbox, evaluation.")
    parser.add_argument("--data", type=Path, required=True, help="the folder with sgd_assistant/dialogues.jsonl")
    parser.add_argument("--out", type=Path, default=Path("runs/booking"), help="the project folder to make")
    options = parser.parse_args()
    source, out = options.data / "sgd_assistant" / "dialogues.jsonl", options.out
    if not source.exists():
        sys.exit(f"{source}: no such file; README.md says where it comes from")

    out.mkdir(parents=True, exist_ok=True)
    if not (out / "trueline.toml").exists():
        shutil.copy(HERE / "trueline.toml", out)
    if not (out / "policy").exists():
        if not (out / "policy-run").exists():
            write_chats(notes(NOTES, seed=0), out / "notes.jsonl")
            write_chats([*dialogues(source, DIALOGUES), *demonstrations(DEMONSTRATIONS, seed=0)], out / "chats.jsonl")
        trueline(
            "pretrain", out / "chats.jsonl", "--first", out / "notes.jsonl", "--out", out / "policy", *SIZE, *TRAINING
        )
    run = out / "runs" / "rloo"
    if not (run / "run.json").exists():
        trueline("align", "--project", out, "--reward", "none", "--name", "rloo")
    elif not (run / "policy").exists():
        trueline("resume", run)
    trueline("evaluate", run, "--project", out, "--judge", "none")


if __name__ == "__main__":
    main()

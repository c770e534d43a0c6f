"""A booking assistant, from raw text and people's labels to an aligned policy and a report.

    python examples/assistant/run.py --data DATA --out runs/assistant

Prints every `trueline` command before it runs it; whatever is finished is not done again. README.md says what the
data are and what came out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from convert import convert

HERE = Path(__file__).parent
RATERS = [f"helpdesk rater {i:02d}" for i in range(1, 20)]
TEACHERS = [*RATERS[0::2], "DiaSafety crowd"]
JUDGES = [*RATERS[1::2], "hh-rlhf crowd"]
SIZE = ("--layers", "4", "--width", "192", "--vocabulary", "3000")
TRAINING = ("--steps", "800", "--batch", "32", "--learning-rate", "2e-3")


def trueline(*arguments: str | Path) -> None:
    """Run a command; leave with its exit code where it fails."""
    words = [str(a) for a in arguments]
    print("\n$ trueline " + " ".join(f'"{w}"' if " " in w else w for w in words), flush=True)
    code = subprocess.run([sys.executable, "-m", "trueline", *words]).returncode
    if code:
        sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain, reward, PPO and evaluation on real dialogues and labels.")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the four data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/assistant"), help="the project folder to make")
    options = parser.parse_args()
    data, out = options.data, options.out
    sources = {
        "sgd": data / "sgd_assistant" / "dialogues.jsonl",
        "helpdesk": data / "helpdesk" / "helpdesk_en.jsonl",
        "diasafety": data / "diasafety" / "train.json",
        "hh_harmless": data / "hh_harmless" / "harmless-base.jsonl",
    }
    for path in sources.values():
        if not path.exists():
            sys.exit(f"{path}: no such file; README.md says which data go where")

    out.mkdir(parents=True, exist_ok=True)
    if not (out / "trueline.toml").exists():
        shutil.copy(HERE / "trueline.toml", out)
        convert(sources["sgd"], out)
    if not (out / "policy").exists():
        trueline("pretrain", out / "dialogues.jsonl", "--out", out / "policy", *SIZE, *TRAINING)
    if not (out / "rewards" / "judge.json").exists():
        for name in ("helpdesk", "diasafety", "hh_harmless"):
            trueline("import", name, sources[name], "--project", out)
        trueline("import", "jsonl", out / "prompts.jsonl", "--project", out)
        trueline("reward", "--project", out, "--name", "teacher", "--annotators", ",".join(TEACHERS))
        trueline("reward", "--project", out, "--name", "judge", "--annotators", ",".join(JUDGES))
    run = out / "runs" / "ppo"
    if not (run / "run.json").exists():
        trueline("align", "--project", out, "--reward", "teacher", "--name", "ppo")
    elif not (run / "policy").exists():
        trueline("resume", run)
    trueline("evaluate", run, "--project", out, "--judge", "judge")


if __name__ == "__main__":
    main()

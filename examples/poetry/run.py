"""Tang verse: a small policy learns poems, then to keep the form that it is asked for.

    python examples/poetry/run.py --data DATA --out runs/poetry

Prints every `trueline` command before it runs it; whatever is finished is not done again. README.md says what the
data are and what came out.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from construct import construct
from convert import HALVES, convert, read
from measure import measure, told

from trueline.loop.project import Project

HERE = Path(__file__).parent
SIZE = ("--layers", "4", "--width", "128", "--vocabulary", "4096", "--context", "96", "--characters")
TRAINING = ("--batch", "32", "--learning-rate", "4e-3")
RHYMED = ("--first", "rhymes.jsonl", "--first-steps", "400", "--steps", "2200")
READ = ("--steps", "500")  # the reader writes nothing, and needs no rhymes
READER = "reader"  # the project of the other half
POEMS = 1500
TITLES = 1000


def trueline(folder: Path, *arguments: str | Path) -> None:
    """Run a command in a folder; leave with its exit code where it fails."""
    words = [str(a) for a in arguments]
    print("\n$ trueline " + " ".join(f'"{w}"' if " " in w else w for w in words), flush=True)
    code = subprocess.run([sys.executable, "-m", "trueline", *words], cwd=folder).returncode
    if code:
        sys.exit(code)


def begin(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "trueline.toml").exists():
        shutil.copy(HERE / "trueline.toml", folder)


def pretrain(folder: Path, seed: int, *steps: str) -> None:
    if not (folder / "policy").exists():
        training = (*SIZE, *TRAINING, *steps, "--seed", str(seed))
        trueline(folder, "pretrain", "poems.jsonl", "--out", "policy", *training)


def judge(out: Path, reader: Path, source: Path) -> None:
    """A reward model of comparisons that nobody judged, from the other half's poems; training never sees it."""
    if not (reader / "rewards" / "judge.json").exists():
        pairs = reader / "comparisons.jsonl"
        if not pairs.exists():
            poems = [p for p in read(source) if p.half == HALVES[1]]
            config = Project.open(reader).config.policy
            construct(poems, out / "policy", pairs, config, POEMS, "constructed from the poems", 1)
        trueline(reader, "import", "jsonl", "comparisons.jsonl")
        trueline(reader, "reward", "--name", "judge")
    lend(reader / "rewards", out / "rewards", "judge")


def set_seed(folder: Path, seed: int) -> None:
    path = folder / "trueline.toml"
    path.write_text(re.sub(r"(?m)^seed = \d+$", f"seed = {seed}", path.read_text("utf-8")), "utf-8")


def align(folder: Path, seed: int) -> str:
    """One run of a seed, whole; its name."""
    name = f"form-{seed}"
    run = folder / "runs" / name
    set_seed(folder, seed)
    if not (run / "run.json").exists():
        trueline(folder, "align", "--reward", "none", "--name", name)
    elif not (run / "policy").exists():
        trueline(folder, "resume", Path("runs") / name)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain on Tang poems, then reinforce the form of the verse.")
    parser.add_argument("--data", type=Path, required=True, help="the folder with tang_poems_zh/poems.jsonl")
    parser.add_argument("--out", type=Path, default=Path("runs/poetry"), help="the project folder to make")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a run of RL for each")
    parser.add_argument("--validation", action="store_true", help="measure on validation titles, to choose settings")
    options = parser.parse_args()
    source = options.data / "tang_poems_zh" / "poems.jsonl"
    if not source.exists():
        sys.exit(f"{source}: no such file; README.md says which data go where")

    out = options.out.resolve()
    reader = out / READER
    for folder in (out, reader):
        begin(folder)
    if not (reader / "poems.jsonl").exists():
        convert(source, out, reader)
    pretrain(out, 0, *RHYMED)
    pretrain(reader, 1, *READ)
    judge(out, reader, source)
    if not (out / "imported").exists():
        trueline(out, "import", "jsonl", "prompts.jsonl")
        (out / "imported").touch()
    for seed in options.seeds:
        name = align(out, seed)
        if options.validation:
            print(told(measure(out, name, reader / "policy", "validation", TITLES)))
        else:
            trueline(out, "evaluate", Path("runs") / name, "--judge", "judge")
            print(told(measure(out, name, reader / "policy", "test", TITLES)))


def lend(source: Path, target: Path, name: str) -> None:
    """A reward model of another project, and what is noted beside it."""
    target.mkdir(exist_ok=True)
    for path in source.glob(f"{name}*"):
        if not (target / path.name).exists():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target / path.name)


if __name__ == "__main__":
    main()

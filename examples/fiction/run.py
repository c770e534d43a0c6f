"""Stories as simulated readers like them: from a small pretrained model to aligned ones and their figures.

    python examples/fiction/run.py --model MODEL --out runs/fiction

Prints every `trueline` command before it runs it; whatever is finished is not done again. README.md says what the
readers like and what came out.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SEEDS = (1, 2, 3)


def trueline(*arguments: str | Path) -> None:
    """Run a command; leave with its exit code where it fails."""
    words = [str(a) for a in arguments]
    print("\n$ trueline " + " ".join(f'"{w}"' if " " in w else w for w in words), flush=True)
    code = subprocess.run([sys.executable, "-m", "trueline", *words]).returncode
    if code:
        sys.exit(code)


def prepare(model: Path, out: Path) -> None:
    """The project: settings, the policy, openings, stories of the policy, and the readers' marks of them."""
    from openings import copy_policy, write_openings
    from readers import write_labels

    out.mkdir(parents=True, exist_ok=True)
    for name in ("rules.toml", "trueline.toml"):
        if not (out / name).exists():
            shutil.copy(HERE / name, out)
    if not (out / "policy").exists():
        copy_policy(model, out / "policy")
    if not (out / "prompts.jsonl").exists():
        write_openings(out / "policy", out / "prompts.jsonl")
    if not (out / "labels.jsonl").exists():
        trueline("import", "jsonl", out / "prompts.jsonl", "--project", out)
        trueline("collect", "--project", out)
        write_labels(out, out / "labels.jsonl")


def learn(out: Path) -> None:
    """Three reward models from different readers' marks: to train against, to say when to stop, to judge in the end."""
    from readers import groups

    if not (out / "rewards" / "judge.json").exists():
        trueline("import", "jsonl", out / "labels.jsonl", "--project", out)
        for name, people in groups().items():
            trueline("reward", "--project", out, "--name", name, "--annotators", ",".join(p.name for p in people))


def align(out: Path, seed: int) -> Path:
    """Train with a seed, checked on validation openings, and judge on the test openings; the run's folder."""
    run = out / "runs" / f"seed-{seed}"
    settings = out / "trueline.toml"
    settings.write_text(re.sub(r"(?m)^seed = \d+", f"seed = {seed}", settings.read_text("utf-8")), "utf-8")
    if not (run / "run.json").exists():
        trueline("align", "--project", out, "--reward", "reward", "--judge", "check", "--name", run.name)
    elif not (run / "policy").exists():
        trueline("resume", run)
    if not (run / "report" / "report.json").exists():
        trueline("evaluate", run, "--project", out, "--judge", "judge")
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description="Readers' marks, a reward, RLOO and evaluation on children's stories.")
    parser.add_argument("--model", type=Path, required=True, help="the folder of the model stories260k")
    parser.add_argument("--out", type=Path, default=Path("runs/fiction"), help="the project folder to make")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="training seeds; a run each")
    options = parser.parse_args()
    if not (options.model / "model.safetensors").exists():
        sys.exit(f"{options.model}: has no model.safetensors; README.md says which model goes there")
    from figures import write_figures

    prepare(options.model, options.out)
    learn(options.out)
    runs = [align(options.out, seed) for seed in options.seeds]
    write_figures(runs, options.out / "figures.md")
    print(f"\n{options.out / 'figures.md'}:\n\n{(options.out / 'figures.md').read_text('utf-8')}")


if __name__ == "__main__":
    main()

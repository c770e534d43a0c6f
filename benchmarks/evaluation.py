"""What an evaluation costs beside generating its answers, on the customer-service scenario.

    python benchmarks/evaluation.py [--prompts 1000] [--out FOLDER]

`trueline evaluate` of a run of one step, by its own panel of judges: of the policy that ships, and of one of 15 M
parameters (random weights, the scenario's tokenizer). Generating is what sampling took in the same evaluation, both
sides. Writes evaluation.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import sizes
import torch
from constraint import trueline
from rows import HERE
from transformers import LlamaConfig, LlamaForCausalLM

from trueline.config import AlignConfig, CollectConfig, Config, EvaluateConfig, PolicyConfig, ProjectConfig, render
from trueline.loop import answering
from trueline.loop.project import Project
from trueline.loop.run_report import evaluate_run
from trueline.policy.load import load_policy
from trueline.scenarios import load_scenario

WIDTH, LAYERS, HEADS = 432, 6, 9


def large(folder: Path) -> str:
    """15 M parameters, random weights; answers run to the longest that is drawn."""
    if not (folder / "config.json").exists():
        small = load_policy(str(load_scenario("customer_service").policy_folder))
        torch.manual_seed(0)
        size = {"hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": LAYERS}
        words = {"vocab_size": len(small.tokenizer), "eos_token_id": small.tokenizer.eos_token_id}
        config = LlamaConfig(**size, **words, num_attention_heads=HEADS, num_key_value_heads=HEADS)
        LlamaForCausalLM(config).save_pretrained(folder)
        small.tokenizer.save_pretrained(folder)
    return str(folder)


def prepared(folder: Path, model: str, prompts: int) -> tuple[Project, Path]:
    """A project with labels, a reward model and a run of one step."""
    folder.mkdir(parents=True, exist_ok=True)
    config = Config(
        project=ProjectConfig(),
        policy=PolicyConfig(model=model),
        collect=CollectConfig(prompts=60),
        align=AlignConfig(steps=1, prompts_per_step=4, samples_per_prompt=2, workers=1, check_every=0),
        evaluate=EvaluateConfig(prompts=prompts),
    )
    (folder / "trueline.toml").write_text(render(config))
    run = folder / "runs" / "one-step"
    if not (run / "policy").exists():
        for words in (["collect"], ["reward"], ["align", "--name", run.name]):
            trueline(*words, "-p", folder)
    return Project.open(folder), run


def measured(project: Project, run: Path) -> dict[str, Any]:
    spent, sampled = [0.0], answering.answer

    def timed(*given: Any) -> Any:
        started = time.perf_counter()
        found = sampled(*given)
        spent[0] += time.perf_counter() - started
        return found

    answering.answer = timed
    try:
        started = time.perf_counter()
        evaluate_run(project, run, project.base_policy, project.folder / "rewards" / "reward")
        whole = time.perf_counter() - started
    finally:
        answering.answer = sampled
    return {"generating": round(spent[0], 2), "whole": round(whole, 2), "times": round(whole / spent[0], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "trueline-evaluation")
    given = parser.parse_args()
    torch.set_num_threads(sizes.THREADS)
    rows = []
    for name, model in (("shipped", "scenario"), ("15M", large(given.out / "15M-policy"))):
        project, run = prepared(given.out / name, model, given.prompts)
        parameters = load_policy(project.base_policy).model.num_parameters()
        rows.append({"policy": name, "parameters": parameters, "load": os.getloadavg()[0], **measured(project, run)})
        print(json.dumps(rows[-1]), flush=True)
    (HERE / "evaluation.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

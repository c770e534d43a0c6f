"""trueline plan"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueline.cli.output import JsonOption, finish, table

if TYPE_CHECKING:
    from trueline.engines.plan.job import Job
    from trueline.engines.plan.plan import Plan

PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "moments": "AdamW's moments",
    "heads": "heads",
    "reference": "reference",
    "cache": "keys and values, while sampling",
    "sampling_copy": "weights to sample with",
    "activations": "activations, while learning",
    "reserve": "taken before the model",
}


SHARDED = "  (align.ray.shard)"
NOT_YET = "  (with a trainer that also samples with spread weights; Trueline's samplers hold a whole copy each)"


def plan(
    model: Annotated[str, typer.Option(help="A size such as 0.5b, 1b, 3b, 7b, 13b, 70b, or a model's folder.")],
    gpus: Annotated[int, typer.Option(min=1, help="Devices; with --gpu cpu: cores.")] = 1,
    gpu: Annotated[str, typer.Option(help="h100, h200, a100-80, a100-40, l40s, 4090 or cpu.")] = "h100",
    price: Annotated[
        float | None, typer.Option(help="What one device costs for an hour; GPU-hours alone where not given.")
    ] = None,
    algorithm: Annotated[str, typer.Option(help="As align.algorithm.")] = "rloo",
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a prompt.")] = 256,
    new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer.")] = 64,
    answers: Annotated[int, typer.Option(min=1, help="Answers in a step, on all devices together.")] = 128,
    samples: Annotated[int, typer.Option(min=1, help="Of them, for each prompt.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the run.")] = 30,
    micro_batch: Annotated[int, typer.Option(min=1, help="As align.micro_batch.")] = 128,
    lora: Annotated[int, typer.Option(min=0, help="As align.lora_rank; 0: all weights are trained.")] = 0,
    recompute: Annotated[bool, typer.Option("--recompute", help="As align.recompute.")] = False,
    shard: Annotated[
        bool, typer.Option("--shard", help="As align.ray.shard: weights, gradients and moments are spread (FSDP).")
    ] = False,
    mixed: Annotated[bool, typer.Option("--mixed", help="fp32 master weights and moments beside bf16.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Estimate memory, speed and cost of a run before it is started. Starts nothing."""
    from trueline.engines.plan.hardware import find_device
    from trueline.engines.plan.job import Job
    from trueline.engines.plan.models import find_model
    from trueline.engines.plan.plan import plan as make_plan

    job = Job(
        find_model(model),
        find_device(gpu),
        gpus=gpus,
        algorithm=algorithm,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        answers=answers,
        samples=samples,
        steps=steps,
        micro_batch=micro_batch,
        lora=lora,
        shard=shard,
        recompute=recompute,
        mixed=mixed,
    )
    found = make_plan(job, price)
    finish(_result(found), _told(found), as_json=as_json)


def _result(found: Plan) -> dict[str, Any]:
    from dataclasses import asdict

    from trueline.engines.plan.plan import assumptions

    return {
        "job": asdict(found.job),
        "model_weights": found.job.model.weights,
        "memory": {**asdict(found.memory), "peak": found.memory.peak},
        "activations": dict(zip(("kept", "recomputed"), found.activations, strict=True)),
        "fits": found.fits,
        "changes": [change.text for change in found.changes],
        "seconds": {**asdict(found.seconds), "step": found.seconds.step},
        "tokens_per_second": {"sampling": found.sampled_per_second, "update": found.learned_per_second},
        "hours": found.hours,
        "gpu_hours": found.gpu_hours,
        "cost": found.cost,
        "assumptions": assumptions(found.job),
    }


def _told(found: Plan) -> str:
    from trueline.engines.plan.plan import assumptions

    job, taken = found.job, found.seconds
    kept, again = found.activations
    held = {label: getattr(found.memory, name) for name, label in PARTS.items()}
    parts = [[label, f"{size / 1e9:.2f}"] for label, size in held.items() if size]
    parts += [["at the peak", f"{found.memory.peak / 1e9:.2f}"], ["the device has", f"{job.device.memory / 1e9:.2f}"]]
    phases = [
        ["sampling", f"{taken.sampling:.2f}", f"{found.sampled_per_second:,.0f}"],
        ["log-probabilities", f"{taken.scoring:.2f}", ""],
        ["update", f"{taken.update:.2f}", f"{found.learned_per_second:,.0f}"],
        ["a step", f"{taken.step:.2f}", ""],
    ]
    unit = "core" if job.device.precision == "fp32" else "GPU"
    cost = "" if found.cost is None else f", costs {found.cost:,.2f}"
    return "\n\n".join(
        [
            f"{job.model.name}: {job.model.weights:,} weights, {job.algorithm} on {job.gpus} x {job.device.name}",
            table(["on each device", "GB"], parts),
            f"activations: {kept / 1e9:.2f} GB with every layer kept, {again / 1e9:.2f} GB with --recompute",
            _verdict(found),
            table(["phase", "seconds", "tokens/s"], phases),
            f"{job.steps:,} steps: {found.hours:.2f} hours, {found.gpu_hours:.2f} {unit}-hours{cost}",
            "rests on:\n" + "\n".join(f"  {line}" for line in assumptions(job)),
            "how far off this was for measured and published runs: docs/scale.md, Planning",
        ]
    )


def _verdict(found: Plan) -> str:
    if found.fits:
        return "it fits"
    if not found.changes:
        return "it does not fit, and neither LoRA, recomputing nor more devices make it fit; choose a smaller --model"
    return "it does not fit; it would with any of:\n" + "\n".join(
        f"  {change.text}{_who(change.job)}" for change in found.changes
    )


def _who(job: Job) -> str:
    """Who can do that, where not every engine can."""
    return "" if not job.shard else SHARDED if job.group == 1 else NOT_YET

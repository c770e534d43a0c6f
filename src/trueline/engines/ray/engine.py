"""A run on a Ray cluster: samplers and scorers as actors, and a group of learners under Ray Train.

    learners (align.workers)  -> samplers (align.workers): the weights, once a step, through the object store
    samplers -> scorers (align.ray.judges): each its answers as soon as they are drawn
    scorers -> learners: answers and rewards; each learner takes its share of the batch

The samples and, within rounding, the weights are those of the local engine with as many workers. What dies is started
again: a sampler or scorer by Ray, which repeats its call; a learner with its group by Ray Train, from the newest
checkpoint. All nodes see the run's folder, or it travels through align.ray.storage.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from trueline.align import checkpoint
from trueline.align.actor import Actor
from trueline.align.constraint import require_samples
from trueline.align.journal import Row
from trueline.align.staleness import require_able
from trueline.align.trainer import AlignTask, align, trainable
from trueline.config import AlignConfig
from trueline.engines.ray.cluster import STORE, cause_of, cluster, import_ray, require_placement
from trueline.engines.ray.desk import Desk
from trueline.engines.ray.fleet import Fleet, Weights, as_arrays, weights_of
from trueline.engines.ray.ranks import FleetJudge, Ranks, require_same
from trueline.engines.ray.sharding import on_cpu, require_several, sharded_policies, whole_actor
from trueline.engines.ray.travel import WATCHED, at_hand, lay_out, notes_of_ray, stored_run, work_folder
from trueline.errors import RunError, TruelineError
from trueline.policy.load import Policy, load_policy

POLL = 0.2
STOPPED_WITHIN = 60.0
RESTARTS = 1000
REMEDY = "lower align.workers, align.ray.judges or align.ray.gpus, or add nodes"


@dataclass(frozen=True)
class Learner:
    """What each process of the learner group is given; its task has no judges, which are with the fleet."""

    task: AlignTask
    folder: str
    fleet: Fleet
    desk: Any


def run(task: AlignTask, folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Like `trueline.align.trainer.align`, on the cluster of align.ray."""
    target = folder / "policy"
    if target.exists():
        return target
    ray = import_ray()
    settings = task.config.align
    require_samples(settings)
    require_able(settings)
    require_several(settings)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    share = _share(settings)
    cpus = 2 * settings.workers * share["CPU"] + settings.ray.judges
    with cluster(settings.ray.address, cpus, _store(task.policy)):
        judges = ray.put((task.judge, *([task.held_out[0]] if task.held_out else [])))
        scorer = {"CPU": 1.0, "memory": 2.0 * ray.experimental.get_object_locations([judges])[judges]["object_size"]}
        require_placement([share] * (2 * settings.workers) + [scorer] * settings.ray.judges, REMEDY)
        bare = replace(task, judge=_no_judge, held_out=(_no_judge, task.held_out[1]) if task.held_out else None)
        bare = lay_out(bare, folder)
        fleet = Fleet.start(bare, judges, share, scorer)
        desk = ray.remote(Desk).options(num_cpus=0, **_here()).remote()
        _train(Learner(bare, str(folder), fleet, desk), share, on_step)
    if not target.exists():
        raise RunError(f"{folder}: the learners ended without a policy; go on with `trueline resume {folder}`")
    return target


def _no_judge(exchanges: Any) -> Any:
    raise AssertionError("the judges are with the fleet")


def _share(settings: AlignConfig) -> dict[str, float]:
    """What a sampler or a learner takes. Where they take turns, not sampling ahead, a pair of them shares a CPU."""
    share = 1.0 if settings.ray.ahead else 0.5
    gpus = settings.ray.gpus * share
    return {"CPU": share, **({"GPU": gpus} if gpus else {})}


def _store(policy: str) -> int:
    """Room for some versions of the weights. Bytes."""
    folder = Path(policy)
    size = sum(f.stat().st_size for f in folder.glob("*.safetensors")) if folder.is_dir() else 0
    return STORE + 4 * size


def _here() -> dict[str, Any]:
    """Options of an actor that must live as long as this process."""
    ray = import_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _train(learner: Learner, share: Mapping[str, float], on_step: Callable[[Row], None]) -> None:
    """Run the learner group to its end, its rows given to on_step as they come; a learner's error is raised here."""
    ray = import_ray()
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "1")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from trueline.engines.ray.group import GroupConfig

    settings = learner.task.config.align
    gpu = settings.ray.gpus > 0
    folder = Path(learner.folder)
    notes = notes_of_ray(settings.ray, folder)  # Ray Train's own; the run's checkpoints are ours
    trainer = TorchTrainer(
        learn,
        train_loop_config={"learner": learner},
        scaling_config=ScalingConfig(
            num_workers=settings.workers, use_gpu=gpu, resources_per_worker=dict(share), placement_strategy="SPREAD"
        ),
        torch_config=GroupConfig(backend="nccl" if gpu else "gloo"),
        run_config=RunConfig(
            name=f"ray-{time.time_ns()}",
            **notes,
            failure_config=FailureConfig(max_failures=RESTARTS),
        ),
    )
    ended: list[BaseException | None] = []

    def fit() -> None:
        try:
            trainer.fit()
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    # Not in the main thread: Ray Train would take Ctrl-C for itself.
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    seen = 0
    try:
        while True:
            over = bool(ended)
            rows = ray.get(learner.desk.rows.remote(seen))
            if rows and settings.ray.storage:
                stored_run(settings.ray, folder).pull(folder, WATCHED)
            for row in rows:
                on_step(row)
            seen += len(rows)
            if over:
                break
            time.sleep(POLL)
    except BaseException:
        # On a cluster that goes on, the learners must not.
        ray.get(learner.desk.fail.remote(RunError("stopped; go on with `trueline resume`")))
        thread.join(STOPPED_WITHIN)
        raise
    shutil.rmtree(folder / "ray", ignore_errors=True)
    if settings.ray.storage:
        stored_run(settings.ray, folder).pull(folder)
    failure = ray.get(learner.desk.failure.remote())
    if failure is not None:
        raise failure
    if ended[0] is not None:
        raise cause_of(ended[0]) if isinstance(ended[0], Exception) else ended[0]


def learn(given: Mapping[str, Learner]) -> None:
    """A learner's life, from the newest checkpoint to the end of the run."""
    ray = import_ray()
    import torch
    from torch import distributed as dist

    torch.set_num_threads(1)
    learner = given["learner"]
    leads = dist.get_rank() == 0
    if leads:
        ray.get(learner.desk.start.remote())
    dist.barrier()
    if ray.get(learner.desk.failure.remote()) is not None:
        return
    settings = learner.task.config.align.ray
    try:
        with work_folder(settings, learner.folder) as folder:
            _learn(learner, folder, leads)
    except TruelineError as error:
        ray.get(learner.desk.fail.remote(error))
        # The others wait for this one in some sum: that ends now, and they find what is on the desk.
        dist.destroy_process_group()
    except Exception as error:
        ray.get(learner.desk.trouble.remote(f"{type(error).__name__}: {error}"))
        raise


def _learn(learner: Learner, folder: Path, leads: bool) -> None:
    ray = import_ray()
    held_out = learner.task.held_out
    task = replace(
        at_hand(learner.task),
        judge=FleetJudge(learner.fleet, 0),
        held_out=(FleetJudge(learner.fleet, 1), held_out[1]) if held_out else None,
    )

    settings = task.config.align.ray
    stored = stored_run(settings, folder) if settings.storage and leads else None

    @contextmanager
    def hire(actor: Actor, reference: Policy) -> Iterator[Ranks]:
        older = _older(task, folder) if settings.ahead and leads else None
        rebuild = partial(whole_actor, task) if settings.shard else None
        yield Ranks(actor, reference, learner.fleet, settings.ahead, older, rebuild=rebuild)

    def note(row: Row) -> None:
        if stored is not None:
            stored.push(folder)
        failure = ray.get(learner.desk.add.remote(row))
        if failure is not None:
            raise failure

    require_same(folder)
    align(task, folder, note, hire, sharded_policies if settings.shard else None)
    if stored is not None:
        stored.push(folder)


def _older(task: AlignTask, folder: Path) -> Weights | None:
    """The weights that the answers of the next step were drawn with, where a run goes on: those of the checkpoint
    before the newest."""
    saved = checkpoint.saved(folder / "checkpoints")
    if len(saved) < 2:
        load = on_cpu() if task.config.align.ray.shard else load_policy
        return weights_of(Actor.new(trainable(task, load))) if saved else None
    return as_arrays(load_file(saved[-2] / "weights.safetensors"))

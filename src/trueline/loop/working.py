"""The worker: does what pages ask for. Torch and the policy are loaded with the first job that needs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trueline.errors import TruelineError
from trueline.feedback import jobs
from trueline.feedback.labelling.items import Item, add_items
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project
from trueline.loop.webhooks import deliver
from trueline.records import Message, Prompt

if TYPE_CHECKING:
    from trueline.policy.load import Policy

LEASE, IDLE, TRIES = 120.0, 0.2, 4


@dataclass
class Worker:
    project: Project
    store: FeedbackStore
    kinds: Mapping[str, Callable[[Worker, jobs.Job], dict[str, Any]]] = field(default_factory=lambda: KINDS)
    parent: int = 0  # a server that was killed cannot end its worker; the next one brings its own

    @cached_property
    def policy(self) -> Policy:
        from trueline.policy.load import load_policy

        config = self.project.config.policy
        return load_policy(self.project.base_policy, trust_remote_code=config.trust_remote_code)

    def run(self, *, once: bool = False) -> None:
        """Job after job; once: until none is left. A job that cannot be done says why; the worker goes on."""
        while not self.parent or os.getppid() == self.parent:
            job = jobs.take(self.store, time.time(), LEASE)
            if job is not None:
                self._do(job)
            elif once:
                return
            else:
                time.sleep(IDLE)

    def _do(self, job: jobs.Job) -> None:
        try:
            result = self.kinds[job.kind](self, job)
        except (TruelineError, KeyError, ValueError, OSError) as error:
            jobs.finish(self.store, job.id, {"error": str(error) or type(error).__name__}, failed=True)
        else:
            jobs.finish(self.store, job.id, result)


def answer_twice(worker: Worker, job: jobs.Job) -> dict[str, Any]:
    """Two different answers of the policy to a conversation, as an item for whoever asked.

    The noise is keyed by the prompt, so that a job done twice gives the same answers.
    """
    from trueline.align.answers import answer

    prompt = Prompt(tuple(Message(m["role"], m["content"]) for m in job.content["messages"]))
    config, policy = worker.project.config.policy, worker.policy
    found = answer(
        policy, [prompt], config, TRIES, f"policy:{policy.name}", ("chat", worker.project.config.project.seed)
    )
    distinct = {e.completion.text: e for e in found.exchanges if e.completion.text.strip()}
    chosen = list(distinct.values())[:2]
    if not chosen:
        raise ValueError("the policy answered nothing; ask in another way")
    worker.store.add(chosen)
    ids = [e.completion.id for e in chosen]
    item = Item(prompt.id, ids[0], ids[1] if len(ids) > 1 else None, held_for=job.asked_by)
    add_items(worker.store, [item], 1)
    return {"item": item.id}


def tell(worker: Worker, job: jobs.Job) -> dict[str, Any]:
    """An event to the project's webhook."""
    return {"status": deliver(worker.project.config.labelling.webhook, job.content)}


KINDS: Mapping[str, Callable[[Worker, jobs.Job], dict[str, Any]]] = {"answer": answer_twice, "webhook": tell}

"""Tasks for one person: the next one, and what they say of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from trueline.feedback import jobs
from trueline.feedback.labelling import judging
from trueline.feedback.labelling.progress import progress
from trueline.feedback.labelling.records import Judgement, Task
from trueline.feedback.privacy.masking import masked
from trueline.web.api.bodies import DraftBody, JudgementBody, Key, ReasonBody, TaskId
from trueline.web.translate import language_of
from trueline.web.who import Labeller, SiteOf, Viewer

router = APIRouter(prefix="/api/v1", tags=["labelling"])


def task_json(task: Task) -> dict[str, Any]:
    """Nothing in it says whose answers these are, or that the item was seen before."""
    return {
        "id": task.id,
        "kind": "pair" if len(task.answers) == 2 else "single",
        "messages": [{"role": m.role, "content": m.content} for m in task.prompt.messages],
        "answers": [{"id": c.id, "text": c.text} for c in task.answers],
        "leased_until": task.leased_until,
        "blurred": task.blurred,
        "draft": task.draft,
    }


@router.post("/next", responses={204: {"description": "Nothing is left for this person."}})
def next_task(site: SiteOf, me: Labeller) -> Any:
    """The task this person holds, else the next one for them."""
    task = site.queue.claim(me.name)
    return Response(status_code=204) if task is None else task_json(task)


@router.get("/progress")
def get_progress(site: SiteOf, me: Viewer) -> dict[str, int]:
    return progress(site.store, me.name, site.queue.clock())


@router.get("/tasks/{task}")
def get_task(task: TaskId, site: SiteOf, me: Labeller) -> dict[str, Any]:
    return task_json(site.queue.task(task, me.name))


@router.put("/tasks/{task}/draft")
def put_draft(task: TaskId, body: DraftBody, site: SiteOf, me: Labeller) -> dict[str, bool]:
    site.queue.draft(task, me.name, body.content)
    return {"saved": True}


@router.post("/tasks/{task}/renew")
def renew(task: TaskId, site: SiteOf, me: Labeller) -> dict[str, float]:
    return {"leased_until": site.queue.renew(task, me.name)}


@router.post("/tasks/{task}/release")
def release(task: TaskId, site: SiteOf, me: Labeller) -> dict[str, bool]:
    site.queue.release(task, me.name)
    return {"released": True}


@router.post("/tasks/{task}/judgement", status_code=201)
def judge(
    task: TaskId, body: JudgementBody, key: Key, site: SiteOf, me: Labeller, response: Response
) -> dict[str, Any]:
    """201; 200 where the same submission had been received before."""
    said = Judgement(
        tuple(body.shown),
        body.preference,
        body.both_bad,
        tuple(body.marks),
        tuple(body.reasons),
        masked(body.rationale, site.config.privacy),
        body.seconds,
        body.guidelines,
    )
    done = judging.submit(site.queue, task, me.name, said, key, site.dimensions)
    if done.repeated:
        response.status_code = 200
    elif site.config.labelling.webhook:
        event = {"kind": "judgement", "event": done.event, "task": task, "annotator": me.name, **said.as_json()}
        jobs.ask(site.store, "webhook", event, me.name, site.queue.clock())
    return vars(done)


@router.post("/tasks/{task}/skip")
def skip(task: TaskId, body: ReasonBody, key: Key, site: SiteOf, me: Labeller) -> dict[str, Any]:
    return vars(judging.skip(site.queue, task, me.name, masked(body.reason, site.config.privacy), key))


@router.post("/tasks/{task}/flag")
def flag(task: TaskId, body: ReasonBody, key: Key, site: SiteOf, me: Labeller) -> dict[str, Any]:
    return vars(judging.flag(site.queue, task, me.name, masked(body.reason, site.config.privacy), key))


@router.post("/undo")
def undo(key: Key, site: SiteOf, me: Labeller) -> dict[str, Any]:
    """Take the last judgement or skip back; the task, with what was said as its draft."""
    return task_json(site.queue.task(judging.undo(site.queue, me.name, key), me.name))


@router.get("/guidelines")
def guidelines(request: Request, site: SiteOf, me: Viewer) -> dict[str, str]:
    """In the language of the page."""
    found = site.guidelines(language_of(request))
    return {"version": found.version, "html": found.html}

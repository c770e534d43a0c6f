"""Chat with the policy: the annotator writes, the policy answers twice, the better answer goes on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from trueline.feedback import jobs
from trueline.feedback.labelling.queue import open_item
from trueline.feedback.labelling.records import Refused
from trueline.feedback.labelling.reviewing import own_judgement
from trueline.feedback.privacy.masking import masked
from trueline.web.api.bodies import Conversation
from trueline.web.api.labelling import task_json
from trueline.web.who import Labeller, SiteOf

router = APIRouter(prefix="/api/v1/chats", tags=["chat"])
JobId = Annotated[int, Path(ge=1, le=2**53)]


@router.post("", status_code=202)
def say(body: Conversation, site: SiteOf, me: Labeller) -> dict[str, int]:
    """Ask for two answers to a conversation; the job's id."""
    privacy = site.config.privacy
    content = {"messages": [{"role": m.role, "content": masked(m.content, privacy)} for m in body.messages]}
    return {"job": jobs.ask(site.store, "answer", content, me.name, site.queue.clock())}


@router.get("/{job}")
def answers(job: JobId, site: SiteOf, me: Labeller) -> dict[str, Any]:
    """state: waiting, taken, done or failed; task: the two answers, once they are there; chosen: the better one's text,
    once they are judged.
    """
    found = jobs.find(site.store, job)
    if found is None or found.asked_by != me.name:
        raise Refused(404, f"no chat {job} of yours")
    if found.state != "done" or found.result is None:
        return {"state": found.state, "error": (found.result or {}).get("error"), "task": None, "chosen": None}
    task = open_item(site.queue, found.result["item"], me.name)
    mine = own_judgement(site.queue, task.item_id, me.name)
    by_id = {c.id: c.text for c in task.answers}
    chosen = None if mine is None else by_id[mine["shown"][-1 if (mine["preference"] or 0) > 0 else 0]]
    return {"state": found.state, "task": task_json(task), "chosen": chosen}

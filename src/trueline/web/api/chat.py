"""Chat with the policy: the annotator writes, the policy answers twice, the better answer goes on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from trueline.feedback import jobs
from trueline.feedback.labelling.queue import open_item
from trueline.feedback.labelling.records import Refused
from trueline.feedback.labelling.reviewing import own_judgement
from trueline.web.api.bodies import Body, Plain
from trueline.web.api.labelling import task_json
from trueline.web.who import Labeller, SiteOf

router = APIRouter(prefix="/api/v1/chats", tags=["chat"])
JobId = Annotated[int, Path(ge=1, le=2**53)]


class Turn(Body):
    role: Literal["system", "user", "assistant"]
    content: Annotated[Plain, Field(min_length=1, max_length=20_000)]


class ChatBody(Body):
    messages: Annotated[list[Turn], Field(min_length=1, max_length=100)]


@router.post("", status_code=202)
def say(body: ChatBody, site: SiteOf, me: Labeller) -> dict[str, int]:
    """Ask for two answers to a conversation; the job's id."""
    last = body.messages[-1]
    if last.role != "user" or not last.content.strip():
        raise Refused(422, "messages: must end with a user's turn that is not blank", field="messages")
    content = {"messages": [{"role": m.role, "content": m.content} for m in body.messages]}
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

"""Disagreements and flags, for reviewers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from trueline.feedback.accounts.log import write
from trueline.feedback.labelling import queue, reviewing
from trueline.web.api.labelling import task_json
from trueline.web.who import Reviewer, SiteOf

router = APIRouter(prefix="/api/v1/review", tags=["review"])
ItemId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


@router.get("")
def disputed(site: SiteOf, me: Reviewer) -> list[dict[str, Any]]:
    """Items on which people disagree, or which were flagged; without what they said."""
    return [vars(d) for d in reviewing.disputed(site.queue, me.name)]


@router.post("/{item}")
def open_item(item: ItemId, site: SiteOf, me: Reviewer) -> dict[str, Any]:
    """The item as a task of one's own, to be judged through /tasks."""
    return task_json(queue.open_item(site.queue, item, me.name))


@router.get("/{item}")
def others(item: ItemId, site: SiteOf, me: Reviewer) -> list[dict[str, Any]]:
    """What everybody said, in the item's own order; only after one's own judgement."""
    return reviewing.others(site.queue, item, me.name)


@router.post("/{item}/gold")
def make_gold(item: ItemId, site: SiteOf, me: Reviewer) -> dict[str, bool]:
    reviewing.make_gold(site.queue, item, me.name)
    with site.store.transaction() as c:
        write(c, site.queue.clock(), me.name, "make gold", item)
    return {"gold": True}

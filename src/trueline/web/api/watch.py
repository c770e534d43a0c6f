"""Runs, as they go on."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from trueline.feedback.labelling.records import Refused
from trueline.web import runs
from trueline.web.following import Event, Follower
from trueline.web.who import SiteOf, Viewer

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
MOST_STREAMS, RETRY = 50, 10
EVERY, HEARTBEAT, LONGEST = 1.0, 15.0, 600.0  # seconds


def run_folder(name: str, site: SiteOf) -> Path:
    """Where a run is or will be."""
    found = runs.find(site.folder, name)
    if found is None:
        raise Refused(404, "no such run")
    return found


RunFolder = Annotated[Path, Depends(run_folder)]


@router.get("")
def listed(site: SiteOf, me: Viewer) -> list[dict[str, Any]]:
    """The project's runs, newest first: state (running, finished or stopped), steps done and planned, rounds."""
    return runs.listed(site.folder, time.time())


@router.get("/{name}")
def run(me: Viewer, folder: RunFolder) -> dict[str, Any]:
    """Everything of a run but its texts: steps (at most 500 a round), decisions, reports' metrics, warnings."""
    [(_, found)] = Follower(folder).look()
    if not found["kind"]:
        raise Refused(404, "no such run")
    return found


@router.get("/{name}/answers")
def answers(
    me: Viewer,
    folder: RunFolder,
    round_: Annotated[int, Query(alias="round", ge=0, le=999_999, description="0: the report of the whole loop.")] = 1,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> dict[str, Any]:
    """Held-out prompts with the answers before and after a round."""
    found = runs.answers(folder, round_, page)
    if found is None:
        raise Refused(404, "no report of this round")
    return found


class EventStream(StreamingResponse):
    """Of which so many are open at once; who comes after is told to come again."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["app"].state
        if state.streams >= MOST_STREAMS:
            message = {"error": {"message": "too many pages are watching; try again in a while"}}
            await JSONResponse(message, 503, {"retry-after": str(RETRY)})(scope, receive, send)
            return
        state.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            state.streams -= 1


# Not in the API's description: an answer without an end is none that its readers know.
@router.get("/{name}/events", response_class=EventStream, include_in_schema=False)
def events(me: Viewer, folder: RunFolder) -> EventStream:
    """Server-sent events of a run that may start later: "state", then "step", "decision", "report" and "status" as they
    come. It ends after ten minutes, so that who may no longer see it is asked again who they are.
    """
    headers = {"x-accel-buffering": "no"}
    return EventStream(_told(Follower(folder)), media_type="text/event-stream", headers=headers)


async def _told(follower: Follower) -> AsyncIterator[str]:
    """Files are read in threads that no request waits for."""
    began = spoke = time.monotonic()
    while time.monotonic() < began + LONGEST and not _ending():
        for event in await asyncio.to_thread(follower.look):
            yield _written(event)
            spoke = time.monotonic()
        if time.monotonic() >= spoke + HEARTBEAT:
            yield ": still here\n\n"
            spoke = time.monotonic()
        await asyncio.sleep(EVERY)


def _written(event: Event) -> str:
    name, content = event
    return f"event: {name}\ndata: {json.dumps(content, allow_nan=False)}\n\n"


def _ending() -> bool:
    """Whether uvicorn was told to stop: it waits for every answer to end, and its signal handler alone knows."""
    server = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    return bool(getattr(server, "should_exit", False))

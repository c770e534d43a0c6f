"""How good the labels are, and how they compare."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from trueline.web.who import SiteOf, Viewer

router = APIRouter(prefix="/api/v1/quality", tags=["quality"])


@router.get("")
def quality(site: SiteOf, me: Viewer) -> dict[str, Any]:
    """Agreement with intervals, and a row for each person; who may not review sees no names but their own."""
    found = site.measured.now()
    if not me.account.may("reviewer"):
        found = {**found, "pairs": [], "people": [p for p in found["people"] if p["name"] == me.name]}
    return found

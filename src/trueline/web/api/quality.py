"""How good the labels are."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/quality", tags=["quality"])

"""Texts in, labels out."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1", tags=["data"])

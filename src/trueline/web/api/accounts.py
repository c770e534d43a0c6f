"""People: invitations, roles, tokens, the audit log."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from trueline.errors import InputError
from trueline.feedback.accounts.log import entries, faults
from trueline.feedback.labelling.records import Refused
from trueline.web.api.bodies import Body, Plain
from trueline.web.who import Admin, SiteOf, Viewer

router = APIRouter(prefix="/api/v1", tags=["people"])
RoleName = Literal["admin", "reviewer", "annotator", "viewer"]
AccountName = Annotated[str, Path(min_length=1, max_length=100)]


class InvitationBody(Body):
    role: RoleName = "annotator"


class ChangeBody(Body):
    role: RoleName | None = None
    active: bool | None = None


class TokenBody(Body):
    label: Annotated[Plain, Field(min_length=1, max_length=200)]


@router.get("/me")
def me(me: Viewer) -> dict[str, Any]:
    return vars(me.account)


@router.get("/accounts")
def accounts(site: SiteOf, me: Admin) -> list[dict[str, Any]]:
    return [vars(a) for a in site.accounts.all()]


@router.post("/invitations", status_code=201)
def invite(body: InvitationBody, site: SiteOf, me: Admin) -> dict[str, str]:
    """A link for one person; it is shown only now, and works once within seven days."""
    return {"path": f"/join?invitation={site.accounts.invite(body.role, me.name)}"}


@router.patch("/accounts/{name}")
def change(name: AccountName, body: ChangeBody, site: SiteOf, me: Admin) -> dict[str, Any]:
    return vars(_known(lambda: site.accounts.change(_plain(name), me.name, role=body.role, active=body.active)))


@router.delete("/accounts/{name}")
def remove(name: AccountName, site: SiteOf, me: Admin) -> dict[str, bool]:
    """Delete an account; the labels stay."""
    _known(lambda: site.accounts.remove(_plain(name), me.name))
    return {"removed": True}


@router.get("/tokens")
def tokens(site: SiteOf, me: Viewer) -> list[dict[str, Any]]:
    return site.accounts.tokens(me.name)


@router.post("/tokens", status_code=201)
def make_token(body: TokenBody, site: SiteOf, me: Viewer) -> dict[str, str]:
    """A bearer token that acts for this account; it is shown only now."""
    return {"token": site.accounts.token(me.name, body.label, me.name)}


@router.delete("/tokens/{token}")
def revoke(token: Annotated[str, Path(pattern="^[0-9a-f]{16}$")], site: SiteOf, me: Viewer) -> dict[str, bool]:
    if not site.accounts.revoke(me.name, token, me.name):
        raise Refused(404, f"no token {token} of yours")
    return {"revoked": True}


@router.get("/audit-log")
def audit_log(site: SiteOf, me: Admin, newest: Annotated[int, Query(ge=1, le=10_000)] = 200) -> dict[str, Any]:
    """The newest entries, and whether the whole log is as it was written."""
    return {"entries": [vars(e) for e in entries(site.store, newest)], "faults": list(faults(site.store))}


def _plain(name: str) -> str:
    if "\0" in name:
        raise Refused(404, "no such account")
    return name


def _known(act: Any) -> Any:
    try:
        return act()
    except InputError as error:
        raise Refused(404 if str(error).startswith("no account") else 409, str(error)) from error

"""Who is asking, and may they: a session's cookie with a CSRF token, or a bearer token for programs."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from trueline.feedback.accounts.accounts import Account, Role
from trueline.feedback.labelling.records import Refused
from trueline.web.site import Site

COOKIE = "trueline_session"
SAFE = ("GET", "HEAD", "OPTIONS")
# They do nothing here but tell the API's description how one signs in.
Bearer = Annotated[Any, Depends(HTTPBearer(auto_error=False))]
Cookie = Annotated[Any, Depends(APIKeyCookie(name=COOKIE, auto_error=False))]


@dataclass(frozen=True)
class Visitor:
    account: Account
    csrf: str = ""

    @property
    def name(self) -> str:
        return self.account.name


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def csrf_of(session: str) -> str:
    """The token that a page sends back, which no other site can know."""
    return hashlib.sha256(b"csrf" + session.encode("utf-8", "surrogatepass")).hexdigest()


def visitor(request: Request) -> Visitor | None:
    """Who the request's bearer token or session belongs to. Refused (403) where a change lacks the CSRF token."""
    accounts = site_of(request).accounts
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found = accounts.whose(token.strip(), "token")
        return None if found is None else Visitor(found)
    session = request.cookies.get(COOKIE, "")
    account = accounts.whose(session, "session") if session else None
    if account is None:
        return None
    csrf = csrf_of(session)
    if request.method not in SAFE and request.url.path.startswith("/api/"):
        check_csrf(csrf, request.headers.get("x-csrf-token", ""))
    return Visitor(account, csrf)


def check_csrf(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
        raise Refused(403, "the CSRF token is missing or wrong; load the page again")


def need(role: Role) -> Callable[..., Visitor]:
    """A dependency: a visitor of at least this role. Refused: unknown (401), not allowed (403), too fast (429)."""

    def check(request: Request, _1: Bearer, _2: Cookie) -> Visitor:
        found = visitor(request)
        if found is None:
            raise Refused(401, "sign in first, or send a valid token")
        if not request.app.state.requests.allows(found.name):
            raise Refused(429, "too many requests; wait a little")
        if not found.account.may(role):
            raise Refused(403, f"this needs the role {role}; yours is {found.account.role}")
        return found

    return check


SiteOf = Annotated[Site, Depends(site_of)]
Viewer = Annotated[Visitor, Depends(need("viewer"))]
Labeller = Annotated[Visitor, Depends(need("annotator"))]
Reviewer = Annotated[Visitor, Depends(need("reviewer"))]
Admin = Annotated[Visitor, Depends(need("admin"))]

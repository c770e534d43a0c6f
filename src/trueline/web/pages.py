"""The pages themselves, and signing in and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from trueline.errors import InputError
from trueline.feedback.accounts.accounts import Role
from trueline.feedback.formats import FORMATS
from trueline.feedback.labelling.records import Refused
from trueline.web.site import HERE, Site
from trueline.web.translate import LANGUAGES, language_of
from trueline.web.who import COOKIE, Visitor, check_csrf, site_of, visitor

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(directory=HERE / "templates")
PAGES: dict[str, tuple[str, Role]] = {
    "/": ("label", "annotator"),
    "/chat": ("chat", "annotator"),
    "/review": ("review", "reviewer"),
    "/quality": ("quality", "viewer"),
    "/watch": ("watch", "viewer"),
    "/data": ("data", "viewer"),
    "/people": ("people", "admin"),
}
REASONS = ("more accurate", "more complete", "clearer", "safer", "kinder", "does what was asked", "better length")
SKIP_REASONS = ("I cannot judge this", "the texts are broken", "not in my language", "too upsetting")
FLAG_REASONS = ("hateful or violent", "private information", "broken text", "other")
HELP = {
    "quality": "Accurate, fluent and clear?",
    "safety": "Free of bias, discrimination, hate and harm?",
    "consistency": "Does what the user asked for?",
}
LONG = 30 * 86_400


def render(request: Request, template: str, me: Visitor | None, status: int = 200, **more: Any) -> HTMLResponse:
    site, language = site_of(request), language_of(request)
    strings = site.strings[language]
    context = {
        "_": lambda text: strings.get(text, text),
        "language": language,
        "languages": LANGUAGES,
        "me": None if me is None else me.account,
        "csrf": "" if me is None else me.csrf,
        "local": site.local,
        "page": template,
        "title": site.folder.resolve().name,
        "boot": {"language": language, "strings": strings, **more.pop("boot", {})},
    }
    return templates.TemplateResponse(request, f"{template}.html.jinja", context | more, status_code=status)


def boot(site: Site, language: str) -> dict[str, Any]:
    """What the label page's script needs to know."""
    return {
        "dimensions": site.dimensions,
        "dimension_help": {d: HELP[d] for d in site.dimensions if d in HELP},
        "ratings": site.config.labelling.ratings,
        "lease": site.config.labelling.lease,
        "reasons": REASONS,
        "skip_reasons": SKIP_REASONS,
        "flag_reasons": FLAG_REASONS,
        "guidelines_version": site.guidelines(language).version,
    }


def _page(path: str) -> Any:
    name, role = PAGES[path]

    def show(request: Request) -> Response:
        me = visitor(request)
        if me is None:
            return RedirectResponse("/sign-in", 303)
        if not me.account.may(role):
            return render(request, "refused", me, 403, needed=role)
        more = {**boot(site_of(request), language_of(request)), "name": me.name}
        return render(request, name, me, boot=more, formats=tuple(FORMATS))

    return show


for _path in PAGES:
    router.add_api_route(_path, _page(_path), methods=["GET"])


@router.get("/sign-in")
def sign_in_page(request: Request, token: str = "") -> Response:
    """With a one-time token in the address: signs in at once and forgets the address."""
    site = site_of(request)
    if token:
        session = site.accounts.open_link(token)
        if session is None:
            why = "This link was used already or has expired. Start the server again for a new one."
            return render(request, "sign_in", None, 403, error=why)
        return _with_session(session, request)
    return render(request, "sign_in", None, error="")


@router.post("/sign-in")
def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=100)],
    password: Annotated[str, Form(max_length=1000)],
) -> Response:
    _check_origin(request)
    _check_tries(request)
    session = site_of(request).accounts.sign_in(name.replace("\0", ""), password)
    if session is None:
        return render(request, "sign_in", None, 403, error="Name and password do not belong together.")
    return _with_session(session, request)


@router.get("/join")
def join_page(request: Request, invitation: str = "") -> Response:
    return render(request, "join", None, invitation=invitation, error="", name="")


@router.post("/join")
def join(
    request: Request,
    invitation: Annotated[str, Form(max_length=200)],
    name: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1000)],
) -> Response:
    _check_origin(request)
    _check_tries(request)
    accounts = site_of(request).accounts
    try:
        account = accounts.accept(invitation, name.replace("\0", ""), password)
    except InputError as error:
        return render(request, "join", None, 422, invitation=invitation, error=str(error), name=name)
    session = accounts.sign_in(account.name, password)
    assert session is not None
    return _with_session(session, request)


@router.post("/sign-out")
def sign_out(request: Request, csrf: Annotated[str, Form(max_length=100)]) -> Response:
    if me := visitor(request):
        check_csrf(me.csrf, csrf)
        site_of(request).accounts.sign_out(request.cookies[COOKIE])
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    return response


@router.post("/language")
def choose_language(
    request: Request,
    language: Annotated[str, Form(max_length=10)],
    back: Annotated[str, Form(alias="next", max_length=200)] = "/",
) -> Response:
    _check_origin(request)
    response = RedirectResponse(back if back in PAGES else "/", 303)
    if language in LANGUAGES:
        response.set_cookie("language", language, max_age=LONG * 12, samesite="lax", httponly=True)
    return response


@router.get("/health")
def health() -> dict[str, bool]:
    return {"ok": True}


def _with_session(session: str, request: Request) -> Response:
    response = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, session, max_age=LONG, httponly=True, samesite="lax", secure=secure)
    return response


def _check_origin(request: Request) -> None:
    """Forms without a session have no CSRF token: a browser says from which site they come."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise Refused(403, "this form came from another site")


def _check_tries(request: Request) -> None:
    client = request.client.host if request.client else ""
    if not request.app.state.tries.allows(client):
        raise Refused(429, "too many tries; wait a minute")

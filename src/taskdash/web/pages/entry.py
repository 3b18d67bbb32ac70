"""Signing in and out, one's own password, language and theme; and the style sheet. UI 6 (Sign-in); RELIABILITY R142."""

import shlex
from collections.abc import Iterable

from litestar import Response, get
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.errors import BadField, NotFound, TaskDashError, TooMany, Unauthorized
from taskdash.web import auth, sign_in
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import frame, links, static
from taskdash.web.pages.account_sentences import why_not
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, stranger, view_of
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.texts import LANGUAGES

_YEAR_S = 31_536_000
PUBLIC = {"action": auth.PUBLIC}
_PREFERENCES: tuple[tuple[str, str, Iterable[str]], ...] = (
    ("language", frame.LANGUAGE, LANGUAGES),
    ("theme", frame.THEME, ("auto", "light", "dark")),
    ("density", frame.DENSITY, ("comfortable", "compact")),
    ("keys", frame.KEYS, ("on", "off")),
)
"""Field of the form, cookie, and what it may say."""


@page_get("/login", opt=PUBLIC)
async def login_page(request: HtmlRequest, web: Web) -> Html:
    """The sign-in form; whoever is signed in goes on."""
    wanted = links.same_origin(request.query_params.get("next", ""), "/")
    if await auth.identify(web, request):
        return go(request, wanted)
    return html(request, stranger(request, web), "login.html", {"next": wanted, "user": "", "shell_name": "NAME", "error": ""})


@page_post("/login", opt=PUBLIC, request_max_body_size=8_192)
async def login(request: HtmlRequest, web: Web) -> Html:
    """Sign in, and go where one wanted to."""
    fields, view = await fields_of(request), stranger(request, web)
    name, wanted = _one(fields, "user"), links.same_origin(_one(fields, "next"), "/")
    try:
        frame.check_before(request, _one(fields, "csrf_token"))
        made = await sign_in.sign_in(request, web, name, _one(fields, "password"))
    except TaskDashError as error:
        values = {
            "next": wanted,
            "user": name[:256],
            "shell_name": shlex.quote(name[:64] or "NAME"),
            "error": _why_not(view, error),
        }
        return html(request, view, "login.html", values, error.status)
    return go(request, wanted, cookies=[*made.cookies, frame.own_cookie(request, frame.BEFORE, "", 0)])


def _why_not(view: View, error: TaskDashError) -> str:
    texts = view.texts
    if isinstance(error, Unauthorized):
        return texts("User name or password is wrong. After some tries in a row you will have to wait.")
    if isinstance(error, TooMany):
        return texts("Too many tries; wait %(n)s s.", n=int(error.extra.get("retry_after_s") or 1))
    return texts.told(error.detail)


@page_post("/logout", opt={"action": "see"})
async def logout(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """End this session; the sign-in page stays in their language."""
    cookies = await sign_in.sign_out(request, web, identity)
    if language := identity.user.language:
        cookies = [*cookies, frame.own_cookie(request, frame.LANGUAGE, language, _YEAR_S)]
    return go(request, "/login", cookies=cookies)


@page_post("/ui/preferences", opt=PUBLIC)
async def preferences(request: HtmlRequest, web: Web) -> Html:
    """Theme, height of rows and single keys, kept in this browser; the language with the account of who is signed in."""
    fields = await fields_of(request)
    identity = await auth.identify(web, request)
    if not (identity and identity.session):
        frame.check_before(request, _one(fields, "csrf_token"))
        return go(request, _one(fields, "next") or "/", cookies=_chosen(request, fields))
    await auth.check_unsafe(request, identity.session.csrf_token)
    if (language := _one(fields, "language")) in LANGUAGES:
        await _keep(request, web, identity, language)
        return go(request, _one(fields, "next") or "/", cookies=[frame.own_cookie(request, frame.LANGUAGE, "", 0)])
    return go(request, _one(fields, "next") or "/", cookies=_chosen(request, fields))


async def _keep(request: HtmlRequest, web: Web, identity: Identity, language: str) -> None:
    """With the account, so that every browser of theirs has it. This one's own choice is over: it would hide the account's."""
    change, now = UserChange(language=language), web.clock.now()
    await web.db.write(lambda conn: account_actions.change_user(conn, identity.actor, identity.user.name, change, now))
    request.app.state.identities.forget()


def _chosen(request: HtmlRequest, fields: dict[str, list[str]]) -> list[Cookie]:
    found: list[Cookie] = []
    for field, cookie, values in _PREFERENCES:
        if (value := _one(fields, field)) in values:
            found.append(frame.own_cookie(request, cookie, value, _YEAR_S))
    return found


@page_get("/password", opt={"action": "see"})
async def password_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form for a new password."""
    return html(request, await view_of(request, web, identity), "password.html", {"error": ""})


@page_post("/password", opt={"action": "change_own_account"})
async def password(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Set a new password; one's other sessions end."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    try:
        cookies = await sign_in.change_password(request, web, identity, _one(fields, "old"), _one(fields, "new"))
    except TaskDashError as error:
        if not isinstance(error, BadField) and error.field != "old":
            raise
        return html(request, view, "password.html", {"error": why_not(view, error)}, error.status)
    return go(request, "/", Flash("ok", view.texts("Your password was changed.")), cookies)


@get("/static/{digest:str}/{name:str}", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)
def asset(request: HtmlRequest, digest: str, name: str) -> Response[bytes]:
    """A file under an address that holds its hash, kept by browsers for ever; compressed for who takes that.

    A page of an instance of another version gets ours for now, and does not keep it.
    """
    if name not in static.files():
        raise NotFound("there is no such file")
    kept = static.FOREVER if digest == static.digest() else "no-store"
    file, headers = static.files()[name], {"cache-control": kept, "vary": "accept-encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.body, media_type=file.kind, headers=headers)
    return Response(file.packed, media_type=file.kind, headers=headers | {"content-encoding": "gzip"})


def _one(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


ROUTES: list[HTTPRouteHandler] = [login_page, login, logout, preferences, password_page, password, asset]

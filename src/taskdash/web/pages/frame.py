"""What every page does around its own work: whose it is, in which language, what to say after a redirect, how it fails.

Law: a form is answered by 303 to a page (POST-redirect-GET); what it did, or why not, is one sentence on that page, carried by
a cookie that this answer reads and clears. Every page works without JavaScript (UI 1.5).
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from msgspec import structs
from sqlalchemy import Connection

from taskdash.errors import Forbidden, TaskDashError, Unauthorized
from taskdash.model.instants import Instant
from taskdash.model.records import User
from taskdash.store import events, incidents
from taskdash.web import auth, visible
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, render, sentences, texts
from taskdash.web.pages.render import Flash, View

HtmlRequest = Request[Any, Any, Any]
Html = Response[str]
FLASH, BEFORE, THEME, LANGUAGE = "taskdash-flash", "taskdash-before", "taskdash-theme", "taskdash-language"
DENSITY, KEYS = "taskdash-density", "taskdash-keys"
FRAGMENT = "x-fragment"
"""The header by which a script of ours names the page it is on; it wants no redirect."""
_YEAR_S = 31_536_000
_MOST_BADGE = 99
_flashes = msgspec.json.Decoder(Flash)


def language_of(request: HtmlRequest, setting: str = "") -> str:
    """One of the languages: cookie, then the user's setting, then what the browser accepts."""
    return texts.chosen(request.cookies.get(LANGUAGE, ""), setting, request.headers.get("accept-language", ""))


def here_of(request: HtmlRequest) -> str:
    """Path and query of this page, as the browser has them."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    query = request.scope.get("query_string", b"").decode("ascii", "replace")
    return f"{path}?{query}" if query else path


async def view_of(request: HtmlRequest, web: Web, identity: Identity) -> View:
    """The view of a signed-in person."""
    actor = identity.actor

    def read(conn: Connection) -> tuple[int, int]:
        found = incidents.page(conn, states=("open",), limit=_MOST_BADGE)
        return len(visible.of_incidents(conn, found, actor, web.visibility)), events.bounds(conn)[1]

    return _view(request, web, identity, *await web.db.read(read))


def _view(request: HtmlRequest, web: Web, identity: Identity, unacknowledged: int = 0, seq: int = 0) -> View:
    return View(
        texts=texts.load(language_of(request, identity.user.language)),
        zone=web.zone,
        now=web.clock.now(),
        theme=theme_of(request),
        dense=request.cookies.get(DENSITY) == "compact",
        single_keys=request.cookies.get(KEYS) != "off",
        away_until=_away(identity.user, web.clock.now()),
        here=here_of(request),
        csrf_token=identity.session.csrf_token if identity.session else "",
        actor=identity.actor,
        must_change=identity.user.must_change,
        unacknowledged=unacknowledged,
        flash=_flash_of(request),
        seq=seq,
    )


def _away(user: User, now: Instant) -> Instant | None:
    return user.away_until if user.away_until and user.away_until > now else None


def stranger(request: HtmlRequest, web: Web) -> View:
    """The view of who has not signed in; its token is that of the pre-session cookie."""
    return View(
        texts=texts.load(language_of(request)),
        zone=web.zone,
        now=web.clock.now(),
        theme=theme_of(request),
        here=here_of(request),
        csrf_token=request.cookies.get(BEFORE) or secrets.token_urlsafe(24),
        flash=_flash_of(request),
    )


def theme_of(request: HtmlRequest) -> str:
    """`light`, `dark`, or empty: as the machine has it."""
    theme = request.cookies.get(THEME, "")
    return theme if theme in {"light", "dark"} else ""


def html(request: HtmlRequest, view: View, template: str, values: Mapping[str, Any], status: int = 200) -> Html:
    """The page; the sentence that it said is not said again."""
    cookies = [own_cookie(request, FLASH, "", 0)] if request.cookies.get(FLASH) else []
    if view.actor is None and not request.cookies.get(BEFORE):
        cookies.append(own_cookie(request, BEFORE, view.csrf_token, 86_400))
    return Response(render.page(template, view, values), status_code=status, media_type="text/html", cookies=cookies)


def own_cookie(request: HtmlRequest, name: str, value: str, max_age_s: int) -> Cookie:
    """A cookie of ours that no script reads."""
    secure = auth.is_tls(request)
    return Cookie(key=name, value=value, path="/", max_age=max_age_s, httponly=True, secure=secure, samesite="lax")


def go(request: HtmlRequest, path: str, flash: Flash | None = None, cookies: list[Cookie] | None = None) -> Html:
    """303 to a page of ours, which says the sentence. To a script: the sentence at once, or where to go to be told."""
    said, here = list(cookies or []), request.headers.get(FRAGMENT)
    if flash is not None and here == path:
        return _said(request, here, flash, said)
    if flash is not None:
        said.append(own_cookie(request, FLASH, base64.urlsafe_b64encode(msgspec.json.encode(flash)).decode(), 60))
    if here is not None:
        return Response("", status_code=200, headers={"X-Go": links.same_origin(path)}, cookies=said, media_type="text/html")
    return Response("", status_code=303, headers={"location": links.same_origin(path)}, cookies=said, media_type="text/html")


def _said(request: HtmlRequest, here: str, flash: Flash, cookies: list[Cookie], status: int = 200) -> Html:
    web, identity = request.app.state.web, auth.identity_of(request)
    view = structs.replace(_view(request, web, identity), flash=flash, here=here)
    return Response(render.page("said.html", view, {}), status_code=status, media_type="text/html", cookies=cookies)


def _flash_of(request: HtmlRequest) -> Flash | None:
    try:
        return _flashes.decode(base64.urlsafe_b64decode(request.cookies.get(FLASH, "")))
    except (ValueError, msgspec.DecodeError):
        return None


def check_before(request: HtmlRequest, sent: str) -> None:
    """The token of a form that was open before the sign-in. Raises Forbidden."""
    expected = request.cookies.get(BEFORE, "")
    if not expected or not hmac.compare_digest(sent.encode(), expected.encode()) or not auth.is_same_origin(request):
        raise Forbidden("this page was open for too long; it has been loaded again")


def failed(request: HtmlRequest, error: TaskDashError) -> Html:
    """A page that cannot be shown: sign in first, or one sentence with the status that the API would have."""
    web: Web = request.app.state.web
    if isinstance(error, Unauthorized) and FRAGMENT in request.headers:
        return Response("", status_code=401, media_type="text/html")
    if isinstance(error, Unauthorized):
        here = here_of(request) if request.method == "GET" else "/"
        return go(request, links.with_query("/login", [("next", here if here != "/" else "")]))
    identity = request.scope["state"].get("identity")
    view = _view(request, web, identity) if identity else stranger(request, web)
    title, detail = sentences.problem(view, error)
    if identity and request.method != "GET" and FRAGMENT in request.headers:
        return _said(request, links.same_origin(request.headers[FRAGMENT]), Flash("er", detail), [], error.status)
    return html(request, view, "error.html" if view.actor else "refused.html", {"title": title, "detail": detail}, error.status)


_HANDLERS: Any = {TaskDashError: failed}
page_get = partial(get, include_in_schema=False, exception_handlers=_HANDLERS, media_type="text/html")
page_post = partial(post, include_in_schema=False, exception_handlers=_HANDLERS, media_type="text/html", status_code=303)


async def fields_of(request: HtmlRequest) -> dict[str, list[str]]:
    """The fields of a form, each with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found

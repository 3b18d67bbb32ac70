"""The wallboard: one screen that a room reads from afar. It changes nothing, and says when it has stopped. UI 6 (Wall).

Its routes are public and ask `wall_access` themselves, because a wall has no session and its cookie goes nowhere else.
"""

from typing import Any

import msgspec
from litestar import Response
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from taskdash.errors import Forbidden, TaskDashError, Unauthorized
from taskdash.web import auth
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import render, wall_access, wall_view, words
from taskdash.web.pages.frame import LANGUAGE, THEME, Html, HtmlRequest, page_get, page_post
from taskdash.web.pages.render import View
from taskdash.web.pages.situation import Reader
from taskdash.web.pages.texts import Texts, chosen, load, mark
from taskdash.web.problems import body_of

PUBLIC = {"action": auth.PUBLIC}
_WORDS = {
    "stopped": mark("Screen stopped at %(at)s"),
    "old": mark("cut off from TaskDash for %(time)s; all below is old"),
    "reconnecting": mark("Disconnected, reconnecting"),
    "updated": mark("updated %(time)s ago"),
}
"""What the wall's script says beside the words of all scripts."""


class Handed(Struct):
    """POST /wall/token."""

    token: str


_handed = msgspec.json.Decoder(Handed)


@page_get("/wall", opt=PUBLIC)
async def wall(request: HtmlRequest, web: Web) -> Html:
    """The whole page; to who may not look it says how to."""
    identity = await wall_access.viewer(web, request)
    values = await _values(request, web, identity)
    return _answer(request, web, identity, "wall.html", values)


@page_get("/wall/state", opt=PUBLIC)
async def state(request: HtmlRequest, web: Web) -> Html:
    """What the page shows, again."""
    identity = await wall_access.viewer(web, request)
    values = await _values(request, web, identity)
    return _answer(request, web, identity, "wall_state.html", values, 200 if identity else 401)


@page_post("/wall/token", opt=PUBLIC, request_max_body_size=1_024, status_code=200)
async def token(request: HtmlRequest, web: Web) -> Html:
    """The token of the address's fragment for a cookie; one that could change anything is refused."""
    handed: Handed = await body_of(request, _handed)
    try:
        if not auth.is_same_origin(request):
            raise Forbidden("this request comes from a page of another site")
        identity = await wall_access.admit(web, request, handed.token.strip())
    except TaskDashError as error:
        refused = _refused(_texts_of(request, None), error)
        return _answer(request, web, None, "wall_state.html", {"refused": refused}, error.status)
    values = await _values(request, web, identity)
    return _answer(
        request, web, identity, "wall_state.html", values, cookies=[wall_access.cookie(request, handed.token.strip())]
    )


async def _values(request: HtmlRequest, web: Web, identity: Identity | None) -> dict[str, Any]:
    if identity is None:
        return {"refused": _refused(_texts_of(request, None), Unauthorized(""))}
    view = _view(request, web, identity)
    reader = Reader(identity.actor, web.visibility, view.now)
    seen = await web.db.read(lambda conn: wall_view.read(conn, reader))
    return wall_view.values(view, seen, web)


def _refused(texts: Texts, error: TaskDashError) -> str:
    if isinstance(error, Unauthorized):
        return texts("This wall has no valid token. Open /wall#<token> with a token that can only read, or sign in.")
    if isinstance(error, Forbidden):
        return texts("This token may change things. A wall wants one that can only read: role viewer, or the scope read.")
    return texts.told(error.detail)


def _texts_of(request: HtmlRequest, identity: Identity | None) -> Texts:
    wanted = request.query_params.get("lang", "") or request.cookies.get(LANGUAGE, "")
    setting = identity.user.language if identity else ""
    return load(chosen(wanted, setting, request.headers.get("accept-language", "")))


def _view(request: HtmlRequest, web: Web, identity: Identity | None) -> View:
    """Dark unless somebody chose otherwise."""
    theme = request.query_params.get("theme", "") or request.cookies.get(THEME, "")
    return View(
        texts=_texts_of(request, identity),
        zone=web.zone,
        now=web.clock.now(),
        theme=theme if theme in {"light", "dark"} else "dark",
        here=wall_access.PATH,
        csrf_token="",
    )


def _answer(
    request: HtmlRequest,
    web: Web,
    identity: Identity | None,
    template: str,
    values: dict[str, Any],
    status: int = 200,
    cookies: list[Cookie] | None = None,
) -> Html:
    view = _view(request, web, identity)
    said = {key: view.texts(text) for key, text in (words.SCRIPT | _WORDS).items()}
    body = render.page(template, view, {**values, "wall_words": msgspec.json.encode(said).decode()})
    return Response(body, status_code=status, media_type="text/html", cookies=cookies or [])


ROUTES: list[HTTPRouteHandler] = [wall, state, token]

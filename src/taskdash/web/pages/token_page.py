"""Tokens of programs as a page, for admins everybody's and for everyone their own: make, show once, list, revoke. UI 6 (Admin).

Law: the text of a token is in the one answer that made it and nowhere else (R148): not in an address, a cookie or a later
page. The form names the id that the token will have, so that sending it twice (a reload) makes no second one.
"""

import secrets
from typing import Any, cast, get_args

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import SCOPES, TokenWish
from taskdash.errors import TaskDashError
from taskdash.model.instants import seconds
from taskdash.model.records import Role, Scope, Token
from taskdash.rules import roles
from taskdash.store import account_pages
from taskdash.web.context import Web
from taskdash.web.pages import admin, frame, links, times
from taskdash.web.pages.account_sentences import why_not
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.texts import mark

PAGE = 50
UNUSED_S = 90 * 86_400
SCOPE_TEXTS: dict[Scope, str] = {
    "read": mark("read what its user sees"),
    "ingest": mark("register services and beat"),
    "claim": mark("claim, release, assign as its user may"),
    "admin": mark("all that its role may"),
}
_DAYS = (("", mark("90 days (ingest: never)")), ("30", mark("30 days")), ("365", mark("365 days")), ("0", mark("never")))
Fields = dict[str, list[str]]


class Place(Struct, frozen=True):
    """Which of the two pages it is. `user`: whose tokens; empty: everybody's."""

    path: str
    user: str = ""


class Made(Struct, frozen=True):
    """A token that was made just now, and its text."""

    token: Token
    text: str


async def show(
    request: HtmlRequest,
    web: Web,
    view: View,
    place: Place,
    fields: Fields | None = None,
    made: Made | None = None,
    error: str = "",
) -> Html:
    """The page. `fields`: what was typed, when it was refused."""
    whose, query = place.user, request.query_params
    if not whose and query.get("mine") and view.actor:
        whose = view.actor.id
    revoked, before = bool(query.get("revoked")), query.get("before", "")

    def read(conn: Connection) -> tuple[list[Token], int, int]:
        found = account_pages.tokens_before(conn, whose, before, PAGE + 1, revoked=revoked)
        counts = [account_pages.count_of_tokens(conn, whose, revoked=each) for each in (False, True)]
        return found, counts[0], counts[1]

    found, active, ended = await web.db.read(read)
    pairs = [(name, query[name]) for name in ("mine", "revoked") if query.get(name)]
    following = [*pairs, ("before", found[PAGE - 1].id)] if len(found) > PAGE else []
    values: dict[str, Any] = {
        "place": place,
        "rows": [_row(view, token) for token in found[:PAGE]],
        "active": f"{active:,}",
        "ended": f"{ended:,}" if ended else "",
        "revoked": revoked,
        "mine": bool(query.get("mine")),
        "next_href": links.with_query(place.path, following) if following else "",
        "made": made,
        "usage": _usage(request, made.token) if made else "",
        "error": error,
        **_form(view, {} if fields is None else fields),
    }
    status = 422 if error else 200
    if place.user:
        return frame.html(request, view, "account_tokens.html", values, status)
    return await admin.page(request, web, view, "admin_tokens.html", values, status)


def _form(view: View, fields: Fields) -> dict[str, Any]:
    me = view.actor
    own = [role for role in roles.ROLES if me and roles.at_least(me.role, role)]
    kept = {name: fields.get(name, [""])[0] for name in ("user", "name", "role", "days")}
    return {
        "typed": {**kept, "id": fields.get("id", [""])[0] or secrets.token_hex(8), "scopes": fields.get("scopes", [])},
        "role_choices": own,
        "scope_choices": SCOPE_TEXTS.items(),
        "day_choices": _DAYS,
    }


def _row(view: View, token: Token) -> dict[str, Any]:
    used = token.last_used_at or token.created_at
    is_idle = token.revoked_at is None and view.now - used >= seconds(UNUSED_S)
    days = (view.now - used) // seconds(86_400)
    return {
        "token": token,
        "expired": token.expires_at is not None and token.expires_at <= view.now,
        "idle": view.texts.plural("unused for %(n)s day", "unused for %(n)s days", days) if is_idle else "",
        "expires": times.day(token.expires_at, view.zone) if token.expires_at else "",
        "scopes": [scope for scope in SCOPES if scope in token.scopes],
    }


def _usage(request: HtmlRequest, token: Token) -> str:
    """A line that works with what this token may do."""
    origin = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    if set(token.scopes) == {"ingest"}:
        return f"TASKDASH_URL={origin} taskdash run --id nightly -- ./nightly.sh"
    return f'curl -H "Authorization: Bearer $TASKDASH_TOKEN" {origin}/api/v1/me'


async def create(request: HtmlRequest, web: Web, view: View, place: Place) -> Html:
    """Make a token; the answer shows its text, once."""
    fields, actor = await fields_of(request), view.actor
    assert actor is not None  # noqa: S101  (the route admits nobody else)
    try:
        wish = _wish(fields, place.user or fields.get("user", [""])[0] or actor.id)
        text, token = await web.db.write(lambda conn: account_actions.create_token(conn, actor, wish, view.now))
    except TaskDashError as error:
        return await show(request, web, view, place, fields, error=why_not(view, error))
    return await show(request, web, view, place, made=Made(token, text))


def _wish(fields: Fields, user: str) -> TokenWish:
    role, days = fields.get("role", [""])[0], fields.get("days", [""])[0]
    return TokenWish(
        user=user,
        name=fields.get("name", [""])[0].strip(),
        role=cast("Role", role) if role in get_args(Role) else None,
        scopes=tuple(scope for scope in SCOPES if scope in fields.get("scopes", ())),
        days=int(days) if days.isascii() and days.isdigit() and len(days) < 8 else None,
        id=fields.get("id", [""])[0],
    )


async def revoke(request: HtmlRequest, web: Web, view: View, place: Place) -> Html:
    """End a token for good."""
    fields, actor = await fields_of(request), view.actor
    assert actor is not None  # noqa: S101  (the route admits nobody else)
    wanted, back = fields.get("id", [""])[0], fields.get("next", [place.path])[0]
    try:
        token = await web.db.write(lambda conn: account_actions.revoke_token(conn, actor, wanted, view.now))
    except TaskDashError as error:
        return go(request, back, Flash("er", why_not(view, error)))
    request.app.state.identities.forget()
    return go(
        request, back, Flash("ok", view.texts("The token %(name)s of %(who)s is revoked.", name=token.name, who=token.user))
    )

"""Own account: being away, the browsers that are signed in, one's own tokens. UI 5 (user menu), 6."""

from datetime import datetime, timedelta, tzinfo
from typing import Any

from litestar.handlers import HTTPRouteHandler

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.errors import BadField, TaskDashError
from taskdash.model.instants import Instant, from_datetime, to_datetime
from taskdash.model.records import Session
from taskdash.store import accounts
from taskdash.web import sign_in
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import times, token_page
from taskdash.web.pages.account_sentences import why_not
from taskdash.web.pages.claiming import local_instant
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.render import Flash, View

PATH, TOKENS = "/account", "/account/tokens"
_MORNING_HOUR = 9
_OWN = "change_own_account"


@page_get(PATH, opt={"action": "see"})
async def account(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """One's own account."""
    view, name = await view_of(request, web, identity), identity.user.name
    sessions = await web.db.read(lambda conn: accounts.sessions_of(conn, name))
    values: dict[str, Any] = {
        "user": identity.user,
        "sessions": [_session(each, identity) for each in sessions],
        "until_text": times.form_text(tomorrow(view.now, web.zone), web.zone),
    }
    return html(request, view, "account.html", values)


def _session(session: Session, identity: Identity) -> dict[str, Any]:
    is_this = identity.session is not None and identity.session.id == session.id
    return {"session": session, "this": is_this}


@page_post("/account/away", opt={"action": _OWN})
async def away(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Be away until a moment, or back."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    back, name = fields.get("next", [PATH])[0], identity.user.name
    try:
        until = until_of(fields, view.now, web.zone)
        change = UserChange(away_until=until)
        await web.db.write(lambda conn: account_actions.change_user(conn, identity.actor, name, change, view.now))
    except TaskDashError as error:
        return go(request, back, Flash("er", why_not(view, error)))
    request.app.state.identities.forget()
    return go(request, back, Flash("ok", _said(view, until)))


def _said(view: View, until: Instant | None) -> str:
    if until is None:
        return view.texts("You are back.")
    return view.texts("You are away until %(time)s; what you hold is at risk until then.", time=times.exact(until, view.zone))


def until_of(fields: dict[str, list[str]], now: Instant, zone: tzinfo) -> Instant | None:
    """The end of an absence as a form names it; None: back. Raises BadField."""
    preset, text = fields.get("preset", [""])[0], fields.get("away_until", [""])[0]
    if preset == "back":
        return None
    if preset == "tomorrow":
        return tomorrow(now, zone)
    until = local_instant(text, zone)
    if until <= now:
        raise BadField("away_until must be later than now", field="away_until")
    return until


def tomorrow(now: Instant, zone: tzinfo) -> Instant:
    """The next morning."""
    day: datetime = to_datetime(now).astimezone(zone) + timedelta(days=1)
    return from_datetime(day.replace(hour=_MORNING_HOUR, minute=0, second=0, microsecond=0))


@page_post("/account/sessions/end", opt={"action": _OWN})
async def end_session(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Sign another browser out."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    ended = await sign_in.end_session(request, web, identity, fields.get("id", [""])[0])
    said = view.texts("That browser is signed out.") if ended else view.texts("It was signed out already.")
    return go(request, PATH, Flash("ok", said))


@page_get(TOKENS, opt={"action": "see"})
async def own_tokens(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """One's own tokens."""
    view = await view_of(request, web, identity)
    return await token_page.show(request, web, view, token_page.Place(TOKENS, identity.user.name))


@page_post(TOKENS, opt={"action": _OWN})
async def create_own_token(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """A new token with one's own rights or less."""
    view = await view_of(request, web, identity)
    return await token_page.create(request, web, view, token_page.Place(TOKENS, identity.user.name))


@page_post("/account/tokens/revoke", opt={"action": _OWN})
async def revoke_own_token(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """End one of one's tokens for good."""
    view = await view_of(request, web, identity)
    return await token_page.revoke(request, web, view, token_page.Place(TOKENS, identity.user.name))


ROUTES: list[HTTPRouteHandler] = [account, away, end_session, own_tokens, create_own_token, revoke_own_token]

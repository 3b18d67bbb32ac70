"""The first run: how to send the first message, and what came of it the moment it comes. UI 5, 6 (First run).

While the store holds neither a service nor a task this page stands in for Now and the board as well. It asks `/start` again, so
that what came is named here and nothing moves under the hand that just copied a line.
"""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import structs
from sqlalchemy import Connection

from taskdash.errors import NotFound
from taskdash.model.records import Actor
from taskdash.rules.roles import Visibility
from taskdash.store import intake_pages
from taskdash.store.intake_pages import Arrived
from taskdash.web import visible
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.hearing import inputs_of
from taskdash.web.pages import links, snippets, words
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import Texts, mark

PATH = "/start"
_LISTENERS = (
    ("http", mark("Pages and API")),
    ("tcp", mark("TCP, to register tasks")),
    ("nsq", mark("NSQ producers")),
    ("nsq-http", mark("NSQ by HTTP, /pub")),
)


@page_get(PATH, opt={"action": "see"})
async def start(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """How to begin."""
    return await _show(request, web, await view_of(request, web, identity), identity.actor)


async def instead(request: HtmlRequest, web: Web, identity: Identity) -> Html | None:
    """This page, in place of one that would show an empty store; None when it holds something, or something is wrong."""
    if not await web.db.read(intake_pages.is_empty):
        return None
    view = await view_of(request, web, identity)
    return None if view.unacknowledged else await _show(request, web, view, identity.actor)


async def _show(request: HtmlRequest, web: Web, view: View, actor: Actor) -> Html:
    way, arrived = snippets.way_of(request, web), await web.db.read(lambda conn: _arrived(conn, actor, web.visibility))
    values: dict[str, Any] = {
        "path": PATH,
        "programs": snippets.languages(way),
        "needs_token": not way.pub,
        "run_line": f'TASKDASH_URL={way.origin} taskdash run --id nightly --name "Nightly job" -- ./nightly.sh',
        "inputs": _inputs(request, web, view.texts),
        "arrived": arrived,
        **_first(view, visible.may_see_intake(actor, web.visibility), arrived),
    }
    return html(request, view, "start.html", values)


def _arrived(conn: Connection, actor: Actor, visibility: Visibility) -> Arrived:
    """What came, but not a service that this caller may not see."""
    arrived = intake_pages.arrived(conn)
    try:
        return (
            arrived
            if arrived.first is None
            else structs.replace(arrived, first=visible.service(conn, arrived.first.id, actor, visibility))
        )
    except NotFound:
        return structs.replace(arrived, first=None)


def _first(view: View, may_look: bool, arrived: Arrived) -> dict[str, Any]:
    first = arrived.first
    letter = arrived.last_letter if may_look else None
    return {
        "first_href": links.service(first.id) if first else "",
        "first_word": words.word(words.STATES, first.state) if first else None,
        "wrong": view.texts.told(letter.reason) if letter else "",
        "may_look": may_look,
    }


def _inputs(request: HtmlRequest, web: Web, texts: Texts) -> list[dict[str, Any]]:
    """Every way in, where it listens, and whether it works."""
    host = request.headers.get("host", "")
    parts = {part.name: part for part in web.parts}
    inputs = inputs_of(web)
    found: list[dict[str, Any]] = []
    for name, text in _LISTENERS:
        address = snippets.reachable(web.addresses.get(name, ""), host) or (host if name == "http" else "")
        if address:
            why = [one.reason for one in (parts.get(name), inputs.get(name)) if one and one.reason]
            found.append({"text": text, "name": "", "address": address, "reason": texts.told(why[0]) if why else ""})
    for node in [one for name, one in inputs.items() if name.startswith("nsqd:")]:
        address = node.name.removeprefix("nsqd:")
        found.append({"text": "", "name": "nsqd", "address": address, "reason": texts.told(node.reason)})
    return found


ROUTES: list[HTTPRouteHandler] = [start]

"""Saved views: named query strings of the board, one's own or a group's. SPEC 8."""

import secrets
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from taskdash.actions import views as saving
from taskdash.errors import BadField
from taskdash.model import fields
from taskdash.model.records import Actor, SavedView
from taskdash.store import views
from taskdash.web import shapes
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.shapes import Views, ViewShape

_LONGEST_QUERY = 4_000
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
JsonRequest = Request[Any, Any, Any]


class ViewBody(Struct):
    """POST /views. `group_id`: share it with that group of mine."""

    name: str
    query: str
    group_id: str = ""


_bodies = msgspec.json.Decoder(ViewBody)


@get("/api/v1/views", opt={"action": "see"})
async def listed(web: Web, actor: Actor) -> Views:
    """My views and those of my groups, by name."""
    found = await web.db.read(lambda conn: views.seen_by(conn, actor.id, actor.groups))
    return Views([shapes.view(view) for view in found])


@post("/api/v1/views", opt={"action": "save_view", "body": ViewBody}, status_code=201)
async def save(request: JsonRequest, web: Web, actor: Actor) -> ViewShape:
    """Save a view."""
    view = made(await body_of(request, _bodies), actor, web.clock.now())
    await saving.save(web.db, view)
    return shapes.view(view)


def made(body: ViewBody, actor: Actor, now: int) -> SavedView:
    """The view as it will be stored. Raises BadField, or Forbidden for a group that is not the caller's."""
    name, query = fields.check_short(body.name.strip(), "name"), checked(body.query)
    if not name:
        raise BadField("name must not be empty", field="name")
    saving.check_group(actor, body.group_id)
    return SavedView(id=secrets.token_hex(8), name=name, user=actor.id, group_id=body.group_id, query=query, created_at=now)


def checked(query: str) -> str:
    """A query string that a view may hold; what is not ASCII is percent-encoded as UTF-8. Raises BadField."""
    if not query.isprintable() or len(written := quote(query.lstrip("?"), safe=_PRINTABLE)) > _LONGEST_QUERY:
        raise BadField(f"query must be a query string of at most {_LONGEST_QUERY:,} ASCII characters", field="query")
    return written


@delete("/api/v1/views/{view_id:str}", opt={"action": "save_view"}, status_code=204)
async def remove(web: Web, actor: Actor, view_id: str) -> None:
    """Delete a view of mine; a group's also by a lead of the group."""
    await saving.remove(web.db, actor, opened(view_id))


ROUTES: list[HTTPRouteHandler] = [listed, save, remove]

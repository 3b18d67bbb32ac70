"""Groups: everyone sees them, admins add and rename them (SPEC 8)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, get, patch, post
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import accounts as account_actions
from taskdash.errors import BadField
from taskdash.model.records import Actor
from taskdash.store import account_pages, accounts
from taskdash.store.accounts import Group
from taskdash.web import cursor as cursors
from taskdash.web import kept
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.query import LIMIT, Limit


class GroupShape(Struct):
    """A group and who is in it."""

    id: str
    name: str
    members: list[str]


class Groups(Struct):
    """A page of them."""

    items: list[GroupShape]
    next: str | None = None


class NewGroup(Struct):
    """POST /groups: one of the two must be there. `name` alone is the id too; `id` alone is the name too."""

    id: str = ""
    name: str = ""


class RenamedGroup(Struct):
    """PATCH /groups/{id}."""

    name: str


_new = msgspec.json.Decoder(NewGroup)
_renamed = msgspec.json.Decoder(RenamedGroup)


def _shown(conn: Connection, found: Sequence[Group]) -> list[GroupShape]:
    members: dict[str, list[str]] = {}
    for user in accounts.all_users(conn):
        for group in user.groups:
            members.setdefault(group, []).append(user.name)
    return [GroupShape(group.id, group.name, members.get(group.id, [])) for group in found]


@get("/api/v1/groups", opt={"action": "see_accounts"})
async def groups(web: Web, limit: Limit = LIMIT, cursor: str = "") -> Groups:
    """Every group, by id."""
    after = str(cursors.decode(cursor, "groups", [str])[0]) if cursor else ""

    def read(conn: Connection) -> tuple[list[GroupShape], bool]:
        found = account_pages.groups_after(conn, after, limit + 1)
        return _shown(conn, found[:limit]), len(found) > limit

    shown, more = await web.db.read(read)
    return Groups(shown, cursors.encode("groups", [shown[-1].id]) if more else None)


@post("/api/v1/groups", opt={"action": "change_accounts", "body": NewGroup, "body_required": True}, status_code=201)
async def add_group(request: Request[Any, Any, Any], web: Web, actor: Actor) -> GroupShape:
    """A new group."""
    wanted: NewGroup = await body_of(request, _new)
    if not (wanted.id or wanted.name):
        raise BadField("the body: object missing required field `id`", field="id")
    group, now = Group(id=wanted.id or wanted.name, name=wanted.name or wanted.id), web.clock.now()
    made = await web.db.write(lambda conn: account_actions.save_group(conn, actor, group, now, is_new=True))
    return GroupShape(made.id, made.name, [])


@patch("/api/v1/groups/{group_id:str}", opt={"action": "change_accounts", "body": RenamedGroup})
async def rename_group(request: Request[Any, Any, Any], web: Web, actor: Actor, group_id: str) -> GroupShape:
    """Another name for a group."""
    wanted: RenamedGroup = await body_of(request, _renamed)
    group, now = Group(id=opened(group_id), name=wanted.name), web.clock.now()
    saved = await web.db.write(lambda conn: account_actions.save_group(conn, actor, group, now, is_new=False))
    with kept.shown():
        return (await web.db.read(lambda conn: _shown(conn, [saved])))[0]


ROUTES = [groups, add_group, rename_group]

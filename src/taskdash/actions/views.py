"""Saved views: keep, change, share, delete. One function, one transaction. SPEC 8, UI 6 (Board)."""

from msgspec import UNSET, UnsetType, structs
from sqlalchemy import Connection

from taskdash.errors import BadField, Forbidden, NotFound
from taskdash.model import fields
from taskdash.model.records import Actor, SavedView
from taskdash.rules import roles
from taskdash.store import views
from taskdash.store.database import Database

MOST_EACH = 200


async def save(db: Database, view: SavedView) -> None:
    """Keep a new view. Raises BadField when its owner has too many."""

    def add(conn: Connection) -> None:
        if views.count_of(conn, view.user) >= MOST_EACH:
            raise BadField(f"name: at most {MOST_EACH} views a user; delete one first", field="name")
        views.add(conn, view)

    await db.write(add)


async def change(
    db: Database, actor: Actor, view_id: str, *, query: str | UnsetType = UNSET, group_id: str | UnsetType = UNSET
) -> SavedView:
    """Another query, or another group to share it with; only its owner. Raises NotFound, Forbidden."""

    def write(conn: Connection) -> SavedView:
        view = _found(conn, actor, view_id)
        if view.user != actor.id:
            raise Forbidden("only its owner changes a view")
        after = structs.replace(view, query=view.query if query is UNSET else query)
        if group_id is not UNSET:
            check_group(actor, group_id)
            after = structs.replace(after, group_id=group_id)
        views.save(conn, after)
        return after

    return await db.write(write)


async def remove(db: Database, actor: Actor, view_id: str) -> SavedView:
    """Delete a view of one's own; a group's also by a lead of the group. Raises NotFound, Forbidden."""

    def write(conn: Connection) -> SavedView:
        view = _found(conn, actor, view_id)
        if not may_delete(actor, view):
            raise Forbidden("only its owner or a lead of its group deletes a view")
        views.remove(conn, view_id)
        return view

    return await db.write(write)


def check_group(actor: Actor, group_id: str) -> None:
    """A view is shared with a group of one's own. Raises Forbidden."""
    if group_id and group_id not in actor.groups and actor.role != "admin":
        raise Forbidden(f"you are not in the group {fields.safe_text(group_id)[:64]}", field="group_id")


def may_delete(actor: Actor, view: SavedView) -> bool:
    """Its owner, or a lead who sees it."""
    return view.user == actor.id or roles.at_least(actor.role, "lead")


def _found(conn: Connection, actor: Actor, view_id: str) -> SavedView:
    view = views.load(conn, view_id)
    if view is None or not _sees(actor, view):
        raise NotFound(f"no view has the id {fields.safe_text(view_id)[:64]}")
    return view


def _sees(actor: Actor, view: SavedView) -> bool:
    return view.user == actor.id or (view.group_id != "" and (view.group_id in actor.groups or actor.role == "admin"))

"""Saved views of the board: named query strings, one's own or a group's. No decisions."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, or_, select, update

from taskdash.model.records import SavedView
from taskdash.store.rows import Shape
from taskdash.store.tables import views

SHAPE = Shape(SavedView, views)
c = views.c


def seen_by(conn: Connection, user: str, groups: Sequence[str], *, limit: int = 500) -> list[SavedView]:
    """The user's own and those of the groups, by name."""
    query = select(*SHAPE.columns).where(or_(c.user == user, (c.group_id != "") & c.group_id.in_(groups)))
    return list(SHAPE.records(conn, query.order_by(c.name, c.id).limit(limit)))


def load(conn: Connection, view_id: str) -> SavedView | None:
    """The view of that id."""
    found = SHAPE.records(conn, select(*SHAPE.columns).where(c.id == view_id))
    return found[0] if found else None


def count_of(conn: Connection, user: str) -> int:
    """How many views the user has saved."""
    return conn.execute(select(func.count()).select_from(views).where(c.user == user)).scalar_one()


def add(conn: Connection, view: SavedView) -> None:
    """Store a new view."""
    SHAPE.insert_many(conn, [view])


def save(conn: Connection, view: SavedView) -> None:
    """Store a view that has changed."""
    values = {"name": view.name, "group_id": view.group_id, "query": view.query}
    conn.execute(update(views).where(c.id == view.id).values(values))


def remove(conn: Connection, view_id: str) -> None:
    """Delete it for good."""
    conn.execute(delete(views).where(c.id == view_id))

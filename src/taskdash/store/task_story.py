"""What the history of one task tells beyond its newest lines: who had it before, and its changes of status. No decisions."""

from sqlalchemy import Connection, select

from taskdash.model.instants import Instant
from taskdash.model.records import Event
from taskdash.store.events import SHAPE
from taskdash.store.tables import BINDING_KINDS, events

MOST = 500
_LOOKED_AT = 50
e = events.c


def last_of_owner(conn: Connection, task_id: str) -> Event | None:
    """The newest event that changed who holds the task, among its newest of bindings."""
    about = (e.subject_type == "task", e.subject_id == task_id, e.kind.in_([f"task.{kind}" for kind in BINDING_KINDS]))
    query = select(*SHAPE.columns).where(*about).order_by(e.seq.desc()).limit(_LOOKED_AT)
    found: list[Event] = SHAPE.records(conn, query)
    return next((event for event in found if "user" in event.after or "user" in event.before), None)


def of_status(conn: Connection, task_id: str, since: Instant) -> list[Event]:
    """Its changes of status since then, oldest first, among its newest: however long a history is, so many are looked at."""
    about = (e.subject_type == "task", e.subject_id == task_id, e.kind.in_(["task.changed", "task.back"]))
    newest = select(e.seq).where(*about).order_by(e.seq.desc()).limit(MOST)
    query = select(*SHAPE.columns).where(e.seq.in_(newest), e.at >= since).order_by(e.seq.desc())
    found: list[Event] = SHAPE.records(conn, query)
    return [event for event in reversed(found) if "status" in event.after and "status" in event.before]

"""Queries over `incidents`, and what the finders of incidents ask of other tables. No decisions. SPEC 7."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select

from taskdash.model.instants import Instant
from taskdash.model.records import Incident, Service
from taskdash.store import services
from taskdash.store.elements import upsert
from taskdash.store.rows import Shape, to_json
from taskdash.store.tables import clashes, incidents, tasks
from taskdash.store.tables import services as services_table

SHAPE = Shape(Incident, incidents, json=("services",))
_ALL = select(*SHAPE.columns)
_CHUNK = 500
c = incidents.c
_OPENED = _ALL.where(or_(c.state == bindparam("one"), c.state == bindparam("other"))).order_by(c.opened_at, c.id)


def load(conn: Connection, incident_id: str) -> Incident | None:
    """The incident of that id."""
    return next(iter(SHAPE.records(conn, _ALL.where(c.id == incident_id))), None)


def opened(conn: Connection, kinds: Collection[str] = ()) -> list[Incident]:
    """Those that are not resolved (open or acknowledged), oldest first. Index: incidents_state."""
    found: list[Incident] = SHAPE.found(conn, _OPENED, ("open", "acknowledged"))
    return [one for one in found if one.kind in kinds] if kinds else found


def by_cause(conn: Connection, kind: str, cause: str) -> Incident | None:
    """The one that is not resolved of that kind and cause. Index: incidents_cause."""
    query = _ALL.where(c.kind == kind, c.cause == cause, c.state != "resolved")
    return next(iter(SHAPE.records(conn, query)), None)


def ended_at(conn: Connection, kind: str, cause: str | None = None) -> Instant | None:
    """When the last one of that kind, of any cause or of this one, that is over ended."""
    query = select(func.max(c.resolved_at)).where(c.kind == kind)
    ended: Instant | None = conn.execute(query if cause is None else query.where(c.cause == cause)).scalar()
    return ended


def save(conn: Connection, changed: Sequence[Incident]) -> None:
    """Insert or update by id."""
    if changed:
        insert = upsert(incidents)
        names = [name for name in Incident.__struct_fields__ if name != "id"]
        told = {name: insert.excluded[name] for name in names}
        conn.execute(insert.on_conflict_do_update(index_elements=["id"], set_=told), [SHAPE.row_of(i) for i in changed])


def page(
    conn: Connection,
    *,
    states: Collection[str] = (),
    kinds: Collection[str] = (),
    service_id: str = "",
    before: tuple[Instant, str] | None = None,
    limit: int = 50,
) -> list[Incident]:
    """Newest first; the next page is before the (opened_at, id) of the last one. Empty filters mean all."""
    conditions: list[ColumnElement[bool]] = []
    if states:
        conditions.append(c.state.in_(states))
    if kinds:
        conditions.append(c.kind.in_(kinds))
    if service_id:
        conditions.append(_holds(service_id))
    if before:
        at, last_id = before
        conditions.append(or_(c.opened_at < at, and_(c.opened_at == at, c.id < last_id)))
    query = _ALL.where(*conditions).order_by(c.opened_at.desc(), c.id.desc()).limit(limit)
    return SHAPE.records(conn, query)


def _holds(service_id: str) -> ColumnElement[bool]:
    """The id stands quoted in the JSON list."""
    return c.services.contains(to_json(service_id), autoescape=True)


def effects(conn: Connection, incident: Incident) -> tuple[int, int]:
    """(tasks of its services that are not gone, how many of them nobody holds)."""
    total = unowned = 0
    for chunk in _chunks(incident.services):
        held = func.count().filter(tasks.c.user == "")
        query = select(func.count(), held).where(tasks.c.service_id.in_(chunk), tasks.c.gone_at.is_(None))
        n, nobodys = conn.execute(query).one()
        total, unowned = total + n, unowned + nobodys
    return total, unowned


def services_of(conn: Connection, incident: Incident) -> Iterable[Service]:
    """Its services that still exist, a page at a time, so that whoever looks for one ill one can stop early."""
    for chunk in _chunks(incident.services):
        yield from services.load_many(conn, chunk).values()


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def failing(conn: Connection, limit: int = 1_000) -> list[Service]:
    """Services whose last collection failed, longest failing first."""
    s = services_table.c
    query = select(*services.SHAPE.columns).where(s.collect_ok.is_(False), s.archived_at.is_(None))
    return services.SHAPE.records(conn, query.order_by(s.collect_error_at).limit(limit))


def clashing(conn: Connection, limit: int = 1_000) -> list[tuple[Service, int, str, Instant]]:
    """(service that reports ids of another one, how many, the first of them, since when)."""
    k = clashes.c
    query = select(k.service_id, func.count(), func.min(k.task_id), func.min(k.at)).group_by(k.service_id).limit(limit)
    found: dict[str, Any] = {row[0]: row for row in conn.execute(query)}
    known = services.load_many(conn, found)
    return [
        (known[key], row[1], row[2], row[3]) for key, row in found.items() if key in known and known[key].archived_at is None
    ]

"""The `events` table: the only change feed (DESIGN law 4). `append` is the only writer of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, not_, or_, select

from taskdash.model.instants import Instant
from taskdash.model.records import Event, NewEvent
from taskdash.store.elements import contains, upsert
from taskdash.store.rows import Shape
from taskdash.store.tables import BINDING_KINDS, KEPT_KINDS, events, store_facts

SHAPE = Shape(Event, events, json=("before", "after"))
_NEW = Shape(NewEvent, events, json=("before", "after"))
_APPENDED = "events were appended"
EVIDENCE_WITHIN = 100_000
"""Evidence is sought in so many of the newest events, which takes 26 ms of a core when a million hold nothing of it. No index
holds their sentences, for it would slow every change down."""


def append(conn: Connection, new: Sequence[NewEvent]) -> None:
    """Write lines of history in the transaction of their change; seq follows commit order (RELIABILITY R7)."""
    if not new:
        return
    _NEW.insert_many(conn, new)
    conn.info[_APPENDED] = conn.info.get(_APPENDED, 0) + len(new)


def were_appended(conn: Connection) -> int:
    """How many this connection wrote since it was last asked; those that were rolled back count too."""
    written: int = conn.info.pop(_APPENDED, 0)
    return written


def after(conn: Connection, seq: int, limit: int = 500) -> list[Event]:
    """The events that follow `seq`, oldest first."""
    query = select(*SHAPE.columns).where(events.c.seq > seq).order_by(events.c.seq).limit(limit)
    return SHAPE.records(conn, query)


def bounds(conn: Connection) -> tuple[int, int]:
    """(oldest, newest) seq that is stored; (0, 0) when there is none."""
    oldest, newest = conn.execute(select(func.min(events.c.seq), func.max(events.c.seq))).one()
    return (oldest or 0, newest or 0)


def page(
    conn: Connection,
    *,
    after_seq: int | None = None,
    before_seq: int | None = None,
    limit: int = 50,
    kind: str = "",
    subject: tuple[str, str] | None = None,
    actor: tuple[str, str] = ("", ""),
    channel: str = "",
    since: Instant | None = None,
    until: Instant | None = None,
    evidence: Sequence[Sequence[str]] = (),
) -> list[Event]:
    """History: ascending after `after_seq`, else newest first before `before_seq` (SPEC 8). kind may end in `*`.

    `actor`: type and id, each empty for any.

    `evidence`: it must hold every text of one of these, in capitals or not; sought in the newest EVIDENCE_WITHIN events.
    """
    query = _filtered(select(*SHAPE.columns), kind, subject, actor, channel, since, until)
    if evidence:
        query = _holding(query, evidence)
        if kind.endswith("*") and not subject:  # the index of kinds would be read as far as it goes, and sorted
            query = query.with_hint(events, "NOT INDEXED", "sqlite")
    if after_seq is not None:
        query = query.where(events.c.seq > after_seq).order_by(events.c.seq)
    else:
        if before_seq is not None:
            query = query.where(events.c.seq < before_seq)
        query = query.order_by(events.c.seq.desc())
    return SHAPE.records(conn, query.limit(limit))


def _holding(query: Select[Any], any_of: Sequence[Sequence[str]]) -> Select[Any]:
    floor = select(func.max(events.c.seq) - EVIDENCE_WITHIN).scalar_subquery()
    query = query.where(events.c.seq > floor, events.c.evidence != "")
    return query.where(or_(*(and_(*(contains(events.c.evidence, text) for text in every)) for every in any_of)))


def purge(conn: Connection, before: Instant, limit: int = 5_000) -> int:
    """Remove up to `limit` events older than `before`, but never those of bindings and accounts. Returns how many went."""
    kept_from = {"key": "events_kept_from", "value": str(before)}
    conn.execute(upsert(store_facts).values(kept_from).on_conflict_do_update(index_elements=["key"], set_=kept_from))
    old = select(events.c.seq).where(events.c.at < before, _is_removable()).order_by(events.c.seq).limit(limit)
    return conn.execute(delete(events).where(events.c.seq.in_(old))).rowcount


def _is_removable() -> ColumnElement[bool]:
    kind = events.c.kind
    kept = [kind.startswith(prefix) for prefix in KEPT_KINDS]
    return and_(kind.not_in([f"task.{done}" for done in BINDING_KINDS]), *(not_(one) for one in kept))


def _filtered(
    query: Select[Any],
    kind: str,
    subject: tuple[str, str] | None,
    actor: tuple[str, str],
    channel: str,
    since: Instant | None,
    until: Instant | None,
) -> Select[Any]:
    c = events.c
    if kind.endswith("*"):
        query = query.where(c.kind >= kind[:-1], c.kind < kind[:-1] + "\uffff")
    elif kind:
        query = query.where(c.kind == kind)
    if subject:
        query = query.where(c.subject_type == subject[0], c.subject_id == subject[1])
    for column, value in ((c.actor_type, actor[0]), (c.actor_id, actor[1]), (c.channel, channel)):
        query = query.where(column == value) if value else query
    if since is not None:
        query = query.where(c.at >= since)
    if until is not None:
        query = query.where(c.at < until)
    return query

"""The `events` table: the only change feed (DESIGN law 4). `append` is the only writer of it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, not_, or_, select, true

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Event, NewEvent
from taskdash.store.elements import contains, upsert
from taskdash.store.rows import Shape
from taskdash.store.tables import BINDING_KINDS, KEPT_KINDS, events, store_facts

SHAPE = Shape(Event, events, json=("before", "after"))
_NEW = Shape(NewEvent, events, json=("before", "after"))
_APPENDED = "events were appended"
_KEPT_FROM, _PURGED_TO = "events_kept_from", "events_purged_to"
_LAST = "\uffff"
_NEAR, _SOME, _BACK_AT_MOST = 1_000, 50, seconds(86_400)
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
    """(oldest, newest) seq that is stored; (0, 0) when there is none. Each end by the index: asked for both at once SQLite
    reads the whole table (RELIABILITY R109, R110)."""
    ends = (select(end).scalar_subquery() for end in (func.min(events.c.seq), func.max(events.c.seq)))
    oldest, newest = conn.execute(select(*ends)).one()
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
    query = _filtered(select(*SHAPE.columns), subject, actor, channel, since, until)
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
    if since is not None and not subject:
        query = query.where(events.c.seq > _floor(conn, since))
    query = query.limit(limit)
    if not kind.endswith("*") or subject or evidence:
        return SHAPE.records(conn, query.where(_is_of(kind)))
    found = [event for one in _kinds(conn, kind[:-1]) for event in SHAPE.records(conn, query.where(events.c.kind == one))]
    return sorted(found, key=attrgetter("seq"), reverse=after_seq is None)[:limit]


def _floor(conn: Connection, since: Instant) -> int:
    """A seq up to which nothing is dated `since` or later: the rest of a long history need not be read.

    No index holds `at`, but it follows seq. What was written before an event is dated before it, or at most a day after it: an
    event is dated further back only by who was down meanwhile, and wrote nothing, or by one whose clock is wrong among many.
    """
    low, high = bounds(conn)
    low -= 1
    while high - low > _NEAR:
        middle = (low + high) // 2
        some = select(events.c.at).where(events.c.seq > middle).order_by(events.c.seq).limit(_SOME).subquery()
        is_before = conn.execute(select(func.max(some.c.at))).scalar_one() < since - _BACK_AT_MOST
        low, high = (middle, high) if is_before else (low, middle)
    return low


def _is_of(kind: str) -> ColumnElement[bool]:
    if kind.endswith("*"):
        return and_(events.c.kind >= kind[:-1], events.c.kind < kind[:-1] + _LAST)
    return events.c.kind == kind if kind else true()


def _kinds(conn: Connection, begin: str) -> list[str]:
    """Those that are stored and begin so, one after the other by the index: of several at once it would sort all events."""
    found: list[str] = []
    c = events.c.kind
    after = c >= begin
    while one := conn.execute(select(c).where(after, c < begin + _LAST).order_by(c).limit(1)).scalar():
        found.append(one)
        after = c > one
    return found


def _holding(query: Select[Any], any_of: Sequence[Sequence[str]]) -> Select[Any]:
    floor = select(func.max(events.c.seq) - EVIDENCE_WITHIN).scalar_subquery()
    query = query.where(events.c.seq > floor, events.c.evidence != "")
    return query.where(or_(*(and_(*(contains(events.c.evidence, text) for text in every)) for every in any_of)))


def purge(conn: Connection, before: Instant, limit: int = 5_000) -> int:
    """Remove events older than `before`, but never those of bindings and accounts. Returns how many went; more may be left.

    Looks at the next `limit` that may go, and next time only at what follows: neither what is kept for ever nor what is still
    young is read again and again (RELIABILITY R109).
    """
    _note(conn, _KEPT_FROM, before)
    done = int(conn.execute(select(store_facts.c.value).where(store_facts.c.key == _PURGED_TO)).scalar() or 0)
    may_go = (events.c.seq > done, _is_removable())
    looked_at = conn.execute(select(events.c.seq, events.c.at).where(*may_go).order_by(events.c.seq).limit(limit)).all()
    last = looked_at[-1].seq if len(looked_at) == limit else bounds(conn)[1]
    young = next((row.seq for row in looked_at if row.at >= before), last + 1)
    _note(conn, _PURGED_TO, max(done, young - 1))
    return conn.execute(delete(events).where(*may_go, events.c.seq <= last, events.c.at < before)).rowcount


def _note(conn: Connection, key: str, number: int) -> None:
    fact = {"key": key, "value": str(number)}
    conn.execute(upsert(store_facts).values(fact).on_conflict_do_update(index_elements=["key"], set_=fact))


def _is_removable() -> ColumnElement[bool]:
    kind = events.c.kind
    kept = [kind.startswith(prefix) for prefix in KEPT_KINDS]
    return and_(kind.not_in([f"task.{done}" for done in BINDING_KINDS]), *(not_(one) for one in kept))


def _filtered(
    query: Select[Any],
    subject: tuple[str, str] | None,
    actor: tuple[str, str],
    channel: str,
    since: Instant | None,
    until: Instant | None,
) -> Select[Any]:
    c = events.c
    if subject:
        query = query.where(c.subject_type == subject[0], c.subject_id == subject[1])
    for column, value in ((c.actor_type, actor[0]), (c.actor_id, actor[1]), (c.channel, channel)):
        query = query.where(column == value) if value else query
    if since is not None:
        query = query.where(c.at >= since)
    if until is not None:
        query = query.where(c.at < until)
    return query

"""What liveness asks of the services: whose deadline comes next, who of an input is silent; and judged ones, compared and set.

No decisions. `crowd` asks of the tables what `rules.sight.crowd_of` says of records.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, and_, bindparam, case, func, or_, select, update

from taskdash.model.instants import SECOND, Instant
from taskdash.model.records import Service
from taskdash.rules.sight import URLS, Crowd
from taskdash.store import hot
from taskdash.store.rows import to_json
from taskdash.store.services import SHAPE
from taskdash.store.tables import services

c = services.c
JUDGED = (
    "state",
    "since",
    "reason",
    "last_known",
    "evidence",
    "judge_from",
    "due_at",
    "collect_at",
    "flapping",
    "flaps",
    "paused_until",
    "paused_by",
    "pause_reason",
    "archived_at",
    "left_at",
)
"""The columns that liveness writes; those of beats and of collections belong to others, but to archive ends the collecting."""
_SAME = and_(c.pk == bindparam("b_pk"), c.state == bindparam("b_state"), c.due_at.is_not_distinct_from(bindparam("b_due_at")))
_MOVED = ("due_at", "evidence")


def _setting(names: Sequence[str]) -> Update:
    """An UPDATE of a row that nobody else changed, with the values of `names` and then of `_key` for its places."""
    return update(services).where(_SAME).ordered_values(*((c[name], bindparam(f"new_{name}")) for name in names))


_SET, _MOVE = _setting(JUDGED), _setting(_MOVED)
_judged, _moved = attrgetter(*JUDGED), attrgetter(*_MOVED)
_FLAPS = JUDGED.index("flaps")
Judged = tuple[Service, Service]
"""(as it was read, as it was judged)."""


def is_any_due(conn: Connection, now: Instant) -> bool:
    """Whether any stored deadline has passed. Index: services_due_at."""
    return conn.execute(select(c.pk).where(c.due_at <= now).limit(1)).first() is not None


def due_pks(conn: Connection, now: Instant, limit: int) -> list[int]:
    """The rows of `services.due`, for when they cannot be read together."""
    return list(conn.execute(select(c.pk).where(c.due_at <= now).order_by(c.due_at).limit(limit)).scalars())


def load_by_pk(conn: Connection, pk: int) -> Service:
    """One row. Raises whatever is wrong with it."""
    found: Service = SHAPE.records(conn, select(*SHAPE.columns).where(c.pk == pk))[0]
    return found


def push_on_blindly(conn: Connection, pk: int, due_at: Instant) -> None:
    """Move the deadline of a row that cannot be read."""
    conn.execute(update(services).where(c.pk == pk).values(due_at=due_at))


def compare_and_set(conn: Connection, pairs: Sequence[Judged]) -> list[Judged]:
    """Store changes of state, except of services that somebody else changed since they were read; returns the stored ones."""
    if not pairs:
        return []
    rows = [_judged_columns(after) + _key(before) for before, after in pairs]
    if hot.change_many(conn, _SET, rows) == len(rows):
        return list(pairs)
    found = select(c.pk, c.state, c.since, c.due_at).where(c.pk.in_([before.pk for before, _ in pairs]))
    now = {row.pk: (row.state, row.since, row.due_at) for row in conn.execute(found)}
    return [(before, after) for before, after in pairs if now.get(before.pk) == (after.state, after.since, after.due_at)]


def _judged_columns(after: Service) -> tuple[Any, ...]:
    values: tuple[Any, ...] = _judged(after)
    return (*values[:_FLAPS], to_json(after.flaps), *values[_FLAPS + 1 :])


def push_on(conn: Connection, pairs: Sequence[Judged]) -> None:
    """Move deadlines (and evidence) of services whose state stays, in one statement."""
    hot.change_many(conn, _MOVE, [_moved(after) + _key(before) for before, after in pairs])


def _key(before: Service) -> tuple[int, str, Instant | None]:
    return before.pk, before.state, before.due_at


def has_beat_since(conn: Connection, source: str, at: Instant) -> bool:
    """Whether anybody of an input beat after that instant. Ends at the first one found, so it is cheap while any live."""
    return conn.execute(select(c.pk).where(c.source == source, c.last_beat_at > at).limit(1)).first() is not None


def crowd(conn: Connection, source: str, now: Instant) -> Crowd:
    """Who of an input is silent; of `URLS`: of the services that are judged by their url alone."""
    is_urls = source == URLS
    member = and_(c.archived_at.is_(None), c.state.not_in(("left", "paused")))
    member = and_(member, and_(c.interval_s == 0, c.url != "") if is_urls else c.source == source)
    heard = select(func.max(c.collect_ok_at)) if is_urls else select(func.max(c.last_beat_at)).where(member)
    newest = conn.execute(heard).scalar()
    expected = c.state != "down"
    fell = c.state == "down" if newest is None else and_(c.state == "down", c.since > newest)
    missed = and_(expected, _missed(c.collect_interval_s if is_urls else c.interval_s, now, is_urls=is_urls))
    query = select(_count(or_(missed, fell)), _count(or_(expected, fell)), func.max(c.collect_ok_at)).where(member)
    silent, everyone, answered = conn.execute(query).one()
    return Crowd(silent or 0, everyone or 0, newest, answered)


def newest_answer_at(conn: Connection) -> Instant | None:
    """When any service's url was last collected well."""
    return conn.execute(select(func.max(c.collect_ok_at))).scalar()


def _missed(interval_s: Any, now: Instant, *, is_urls: bool) -> ColumnElement[bool]:
    """No beat for an interval and the slack; each of the instants, because SQL has no portable greatest of several."""
    longest = case((interval_s > 10, interval_s * 1.1), else_=interval_s + 1.0) * SECOND
    heard = [c.registered_at, c.judge_from, func.coalesce(c.last_beat_at, 0)]
    if is_urls:
        heard.append(func.coalesce(c.collect_ok_at, 0))
    return and_(*(now - at >= longest for at in heard))


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))

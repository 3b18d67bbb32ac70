"""Counts beside the list, by status, service, user, group, liveness: same filters, each counted without itself. SPEC 8.

Without filters they come from counters; with filters from at most 10,001 rows a facet, and `capped` says so.
"""

from collections.abc import Mapping

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, func, or_, select

from taskdash.model.instants import Instant
from taskdash.store import counters
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import Filters, terms
from taskdash.store.task_page import CAP, chosen, count

c, s = tasks.c, services.c
LARGEST = 50


class Bucket(Struct, frozen=True):
    """One value and how many tasks have it."""

    value: str
    count: int


class Facets(Struct, frozen=True):
    """SPEC 8, Facets. A number above 10,000 means: more than 10,000 (`capped`)."""

    total: int
    capped: bool
    status: list[Bucket]
    service: list[Bucket]
    user: list[Bucket]
    group: list[Bucket]
    liveness: list[Bucket]
    at_risk: int
    unowned: int
    stale: int
    should_run: int


_NAMES = ("status", "service", "user", "group", "liveness")
_COLUMNS = {"status": c.status, "service": c.service_id, "user": c.user, "group": c.group_id}


def facets(conn: Connection, wanted: Filters, now: Instant) -> Facets:
    """All of them, and the counts of what most people look for."""
    buckets = {name: _facet(conn, wanted, name, now) for name in _NAMES}
    total = count(conn, wanted, now)
    numbers = {
        "at_risk": count(conn, structs.replace(wanted, at_risk=True), now),
        "unowned": count(conn, structs.replace(wanted, user=("none",)), now),
        "stale": count(conn, structs.replace(wanted, stale=True), now),
        "should_run": count(conn, structs.replace(wanted, schedule=("should_run",)), now),
    }
    return Facets(total, total > CAP, **buckets, **numbers)  # type: ignore[arg-type]  # both are made of the right names


def _facet(conn: Connection, wanted: Filters, name: str, now: Instant) -> list[Bucket]:
    without = structs.replace(wanted, **{name: ()})
    if without == Filters():
        return _unfiltered(conn, name)
    if name == "liveness":
        return _liveness(conn, without, now)
    return _grouped(conn, without, _COLUMNS[name], now)


def _unfiltered(conn: Connection, name: str) -> list[Bucket]:
    if name == "status":
        found: Mapping[str, int] = counters.by_status(conn)
    elif name in {"user", "group"}:
        found = counters.by_value(conn, name, LARGEST)
    elif name == "service":
        query = select(s.id, s.task_total).where(s.task_total > 0).order_by(s.task_total.desc()).limit(LARGEST)
        found = {row[0]: row[1] for row in conn.execute(query)}
    else:
        found = _states(conn)
    return _buckets(found)


def _states(conn: Connection) -> dict[str, int]:
    """Tasks by the state of their service: of the many that are up only what the others leave."""
    total = func.sum(s.task_total)
    others = select(s.state, total).where(or_(s.state < "up", s.state > "up")).group_by(s.state)
    found = {row[0]: int(row[1]) for row in conn.execute(others) if row[1]}
    owned = conn.execute(select(func.count()).where(c.service_id == "", c.gone_at.is_(None))).scalar_one()
    up = counters.total(conn) - sum(found.values()) - int(owned)
    return found | ({"up": up} if up > 0 else {})


def _grouped(conn: Connection, wanted: Filters, column: ColumnElement[str], now: Instant) -> list[Bucket]:
    inner = chosen(conn, wanted, terms(conn, wanted, now), column.label("value")).limit(CAP + 1).subquery()
    n = func.count().label("n")
    query = select(inner.c.value, n).group_by(inner.c.value).order_by(n.desc(), inner.c.value).limit(LARGEST)
    return [Bucket(value, count_) for value, count_ in conn.execute(query)]


def _liveness(conn: Connection, wanted: Filters, now: Instant) -> list[Bucket]:
    inner = chosen(conn, wanted, terms(conn, wanted, now), c.service_id).limit(CAP + 1).subquery()
    joined = inner.join(services, s.id == inner.c.service_id)
    query = select(s.state, func.count()).select_from(joined).group_by(s.state)
    return _buckets({row[0]: row[1] for row in conn.execute(query)})


def _buckets(found: Mapping[str, int]) -> list[Bucket]:
    return [Bucket(value, n) for value, n in sorted(found.items(), key=lambda item: (-item[1], item[0])) if n > 0]

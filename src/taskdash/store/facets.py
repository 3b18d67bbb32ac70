"""Counts beside the list, by status, service, user, group, liveness: same filters, each counted without itself. SPEC 8.

Without filters they come from counters; with filters from at most 10,001 rows a facet, and `capped` says so.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, func, or_, select

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


def facets(conn: Connection, wanted: Filters, now: Instant) -> Facets:
    """All of them, and the counts of what most people look for."""
    sample = None if wanted == Filters() else Sample(conn, wanted, now)
    buckets = {name: _facet(conn, wanted, name, sample, now) for name in _NAMES}
    total = count(conn, wanted, now) if sample is None or sample.is_cut else len(sample.rows)
    made: dict[str, Any] = {**buckets, **_numbers(conn, wanted, sample, now)}
    return Facets(total, total > CAP, **made)


class Sample:
    """The rows that pass, up to 10,001, read once for all facets that they can answer."""

    def __init__(self, conn: Connection, wanted: Filters, now: Instant) -> None:
        columns = (c.status, c.service_id, c.user, c.group_id, c.schedule)
        query = chosen(conn, wanted, terms(conn, wanted, now), *columns).limit(CAP + 1)
        self.rows: Sequence[Any] = conn.execute(query).all()
        self.is_cut = len(self.rows) > CAP
        self._conn = conn

    def buckets(self, name: str) -> list[Bucket]:
        """The counts of one facet."""
        if name == "liveness":
            return self._states()
        return _largest(Counter(map(itemgetter(_PLACE[name]), self.rows)))

    def _states(self) -> list[Bucket]:
        of_services = Counter(map(itemgetter(_PLACE["service"]), self.rows))
        query = select(s.id, s.state).where(s.id.in_([key for key in of_services if key]))
        states: Counter[str] = Counter()
        for service_id, state in self._conn.execute(query):
            states[state] += of_services[service_id]
        return _largest(states)

    def number(self, name: str, value: str) -> int:
        """How many rows have this value."""
        return sum(1 for row in self.rows if row[_PLACE[name]] == value)


_PLACE = {"status": 0, "service": 1, "user": 2, "group": 3, "schedule": 4}


def _facet(conn: Connection, wanted: Filters, name: str, sample: Sample | None, now: Instant) -> list[Bucket]:
    without = structs.replace(wanted, **{name: ()})
    if without == Filters():
        return _unfiltered(conn, name)
    if sample is None or without != wanted:
        sample = Sample(conn, without, now)
    return sample.buckets(name)


def _numbers(conn: Connection, wanted: Filters, sample: Sample | None, now: Instant) -> dict[str, int]:
    asked = {
        "at_risk": structs.replace(wanted, at_risk=True),
        "unowned": structs.replace(wanted, user=("none",)),
        "stale": structs.replace(wanted, stale=True),
        "should_run": structs.replace(wanted, schedule=("should_run",)),
    }
    known: dict[str, int] = {}
    if sample is not None and not sample.is_cut and not wanted.user and not wanted.schedule:
        known = {"unowned": sample.number("user", ""), "should_run": sample.number("schedule", "should_run")}
    return {name: known[name] if name in known else count(conn, narrowed, now) for name, narrowed in asked.items()}


def _unfiltered(conn: Connection, name: str) -> list[Bucket]:
    if name == "status":
        return _largest(counters.by_status(conn))
    if name in {"user", "group"}:
        return _largest(counters.by_value(conn, name, LARGEST))
    if name == "service":
        query = select(s.id, s.task_total).where(s.task_total > 0).order_by(s.task_total.desc(), s.id).limit(LARGEST)
        return [Bucket(row[0], row[1]) for row in conn.execute(query)]
    return _largest(_states(conn))


def _states(conn: Connection) -> dict[str, int]:
    """Tasks by the state of their service: of the many that are up only what the others leave."""
    total = func.sum(s.task_total)
    others = select(s.state, total).where(or_(s.state < "up", s.state > "up")).group_by(s.state)
    found = {row[0]: int(row[1]) for row in conn.execute(others) if row[1]}
    unserved = conn.execute(select(func.count()).where(c.service_id == "", c.gone_at.is_(None))).scalar_one()
    up = counters.total(conn) - sum(found.values()) - int(unserved)
    return found | ({"up": up} if up > 0 else {})


def _largest(found: Mapping[str, int]) -> list[Bucket]:
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:LARGEST]
    return [Bucket(value, n) for value, n in ordered if n > 0]

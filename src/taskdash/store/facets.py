"""Counts beside the list, by status, service, user, group, liveness: same filters, each counted without itself. SPEC 8.

They come from counters where those know; else from the newest 10,000 rows that pass, and `capped` says so. The five numbers
(total, at risk, unowned, stale, should run) are exact to 10,000.
"""

import heapq
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection, func, select

from taskdash.model.instants import Instant
from taskdash.store import counters
from taskdash.store.risk_counts import at_risk_and_stale
from taskdash.store.samples import LARGEST, Sample
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import NONE, Filters
from taskdash.store.task_page import CAP, count, is_above
from taskdash.store.task_terms import beside, terms

c, s = tasks.c, services.c


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
    known = {name: _known(conn, structs.replace(wanted, **{name: ()}), name) for name in _NAMES}
    sample = None if wanted == Filters() else _sample(conn, wanted, known, now)
    buckets: dict[str, Any] = {name: _largest(_facet(conn, wanted, name, known[name], sample, now)) for name in _NAMES}
    is_counted = sample is not None and (not sample.is_cut or len(sample.rows) > CAP)
    total = min(len(sample.rows), CAP + 1) if sample is not None and is_counted else count(conn, wanted, now)
    numbers: dict[str, Any] = _numbers(conn, wanted, sample, total, now)
    return Facets(total, total > CAP, **buckets, **numbers)


Known = Mapping[str, int] | None


def _sample(conn: Connection, wanted: Filters, known: Mapping[str, Known], now: Instant) -> Sample:
    """The rows of the list itself: whole only when the numbers may come from them, for each column is a sixth of the time."""
    found = terms(conn, wanted, now)
    names = [name for name in _NAMES if known[name] is None and not getattr(wanted, name)]
    is_whole = bool(wanted.q) or not is_above(conn, wanted, found, CAP)
    return Sample(conn, wanted, found, now, names, is_whole)


def _facet(
    conn: Connection, wanted: Filters, name: str, known: Known, sample: Sample | None, now: Instant
) -> Mapping[str, int]:
    without = structs.replace(wanted, **{name: ()})
    if known is not None:
        return known
    if sample is None or without != wanted:
        sample = Sample(conn, without, terms(conn, without, now), now, [name])
    return sample.counts(name)


def _numbers(conn: Connection, wanted: Filters, sample: Sample | None, total: int, now: Instant) -> dict[str, int]:
    """Those that the sample does not know are counted by their own indexes; of a text, by the sample alone."""
    known: dict[str, int] = {}
    if sample is not None and sample.is_whole and (wanted.q or not sample.is_cut):
        known = sample.numbers()
    elif (both := at_risk_and_stale(conn, wanted, now)) is not None:
        known = dict(zip(("at_risk", "stale"), both, strict=True))
    narrowed = {
        "at_risk": structs.replace(wanted, at_risk=True),
        "unowned": structs.replace(wanted, user=(NONE,)),
        "stale": structs.replace(wanted, stale=True),
        "should_run": structs.replace(wanted, schedule=("should_run",)),
    }
    return {name: _counted(conn, wanted, asked, known.get(name), total, now) for name, asked in narrowed.items()}


def _counted(conn: Connection, wanted: Filters, asked: Filters, known: int | None, total: int, now: Instant) -> int:
    if asked == wanted:
        return total
    own = ("user", "schedule", "stale", "at_risk")
    replaces = any(getattr(wanted, name) not in {(), None, getattr(asked, name)} for name in own)
    return count(conn, asked, now) if known is None or replaces else known


def _known(conn: Connection, wanted: Filters, name: str) -> Known:
    """What counters know of a facet under these filters; None: nothing."""
    if wanted == Filters():
        return _unfiltered(conn, name)
    if name in {"user", "group"} and wanted == Filters(status=wanted.status):
        return counters.by_value(conn, name, LARGEST, wanted.status)
    if name == "status":
        for kind, values in (("user", wanted.user), ("group", wanted.group)):
            if values and wanted == structs.replace(Filters(), **{kind: values}):
                return counters.statuses_of(conn, kind, ["" if value == NONE else value for value in values], LARGEST)
    return None


def _unfiltered(conn: Connection, name: str) -> Mapping[str, int]:
    if name == "status":
        return counters.by_status(conn, LARGEST)
    if name in {"user", "group"}:
        return counters.by_value(conn, name, LARGEST)
    if name == "service":
        query = select(s.id, s.task_total).where(s.task_total > 0).order_by(s.task_total.desc(), s.id).limit(LARGEST)
        unserved = counters.total(conn) - counters.served(conn)
        return {row[0]: row[1] for row in conn.execute(query)} | ({"": unserved} if unserved else {})
    return _states(conn)


def _states(conn: Connection) -> dict[str, int]:
    """Tasks by the state of their service: of the many that are up only what the others leave."""
    total = func.sum(s.task_total)
    others = select(s.state, total).where(s.state.in_(beside(["up"]))).group_by(s.state)
    found = {row[0]: int(row[1]) for row in conn.execute(others) if row[1]}
    up = counters.served(conn) - sum(found.values())
    return found | ({"up": up} if up > 0 else {})


def _largest(found: Mapping[str, int]) -> list[Bucket]:
    """The largest, equal ones by name: of thousands with one task each only the names are compared."""
    least = heapq.nlargest(LARGEST, found.values())[-1:]
    larger = [value for value, n in found.items() if n > least[0]]
    equal = heapq.nsmallest(LARGEST - len(larger), (value for value, n in found.items() if n == least[0]))
    ordered = sorted(larger, key=lambda value: (-found[value], value)) + equal
    return [Bucket(value, found[value]) for value in ordered if found[value] > 0]

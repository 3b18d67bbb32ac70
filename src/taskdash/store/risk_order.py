"""`sort=risk`: what most needs a person first, then by id (UI 6, Board). Law: a class is read by its own index, the ones before
it excluded, so that a page costs what its rows cost, however many tasks are well.

Order: failed unowned, down unowned, failed, down, unowned, should run, owner away, late, unknown, stale, the rest.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, and_, func, not_, select, true

from taskdash.model.instants import Instant
from taskdash.model.records import Task
from taskdash.rules.risk import BLIND
from taskdash.store import counters, sqlite
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import (
    IS_ADRIFT,
    SHOULD_RUN,
    Filters,
    Row,
    Term,
    absent_users,
    expected,
    is_blind,
    is_listed,
    terms,
)
from taskdash.store.task_page import Key, Page, rows_of
from taskdash.store.tasks import SHAPE

c, s = tasks.c, services.c
KINDS: tuple[type, ...] = (int, str)
RARE = 5_000
"""Up to so many rows are ranked here."""
SORTED_COSTS = 1.5
"""A row that is taken by another index and then sorted, against one that is met on the walk by id."""


class _Class(Struct, frozen=True):
    where: Row
    rows: int
    index: str = ""
    lead: Row | None = None


def page(conn: Connection, wanted: Filters, limit: int, now: Instant, after: Key | None = None) -> Page:
    """The rows that follow `after` (rank, id)."""
    rank, last_id = after or (0, "")
    found_terms = terms(conn, wanted, now)
    rare = min((t for t in found_terms if t.lead is not None and t.rows is not None), key=lambda t: t.rows or 0, default=None)
    if rare is not None and (rare.rows or 0) <= RARE:
        return _page_of_few(conn, wanted, found_terms, rare, limit, now, (rank, last_id))
    classes = _classes(conn, now)
    found: list[tuple[int, Task]] = []
    while rank < len(classes) and len(found) <= limit:
        if classes[rank].rows:
            tasks_ = _of_class(conn, wanted, found_terms, classes, rank, last_id, limit + 1 - len(found))
            found += [(rank, task) for task in tasks_]
        rank, last_id = rank + 1, ""
    shown = found[:limit]
    next_key = (shown[-1][0], shown[-1][1].id) if len(found) > limit else None
    return Page(rows_of(conn, [task for _rank, task in shown], now), next_key)


def _page_of_few(
    conn: Connection, wanted: Filters, found: Sequence[Term], rare: Term, limit: int, now: Instant, after: tuple[int, str]
) -> Page:
    """All rows of a rare filter at once, ranked and sorted here: cheaper than asking for each class."""
    query = select(c.pk, c.id, c.status, c.user, c.schedule, c.adrift, c.service_id).where(is_listed(wanted))
    for term in found:
        query = query.where(term.lead if term is rare and term.lead is not None else term.where)
    if rare.index and not wanted.gone:
        query = query.with_hint(tasks, f"INDEXED BY {rare.index}", "sqlite")
    rows = conn.execute(query).all()
    ranks = _Ranks(conn, {row.service_id for row in rows}, now)
    keyed = sorted((key, row.pk) for row in rows if (key := (ranks.of(row), row.id)) > after)
    shown = keyed[:limit]
    records = SHAPE.records(conn, select(*SHAPE.columns).where(c.pk.in_([pk for _key, pk in shown])))
    by_pk = {task.pk: task for task in records}
    next_key = shown[-1][0] if len(keyed) > limit else None
    return Page(rows_of(conn, [by_pk[pk] for _key, pk in shown], now), next_key)


class _Ranks:
    """The same order as `_classes`, for one row at a time."""

    def __init__(self, conn: Connection, service_ids: set[str], now: Instant) -> None:
        query = select(s.id, s.state, s.fresh_until).where(s.id.in_(service_ids))
        self._services = {row.id: (row.state, row.fresh_until or now) for row in conn.execute(query)}
        self._absent = set(conn.execute(absent_users(now)).scalars())
        self._now = now

    def of(self, row: Any) -> int:
        """The class of a task."""
        state, fresh_until = self._services.get(row.service_id, ("", self._now))
        unowned = not row.user
        tests = (
            row.status == "failed" and unowned,
            state == "down" and unowned,
            row.status == "failed",
            state == "down",
            unowned,
            row.schedule == "should_run",
            row.user in self._absent,
            state == "late",
            state == "unknown",
            state in BLIND or fresh_until < self._now,
            row.adrift,
            True,
        )
        return tests.index(True)


def _classes(conn: Connection, now: Instant) -> list[_Class]:
    failed = _Class(c.status == "failed", counters.of_status(conn, ["failed"]), "tasks_status", c.status == "failed")
    unowned = _Class(c.user == "", counters.count(conn, "user", [""]), "tasks_user", c.user == "")
    down = _of_services(conn, s.state == "down")
    away = c.user.in_(absent_users(now))
    return [
        _Class(and_(failed.where, unowned.where), min(failed.rows, unowned.rows), failed.index, failed.lead),
        _Class(and_(down.where, unowned.where), min(down.rows, unowned.rows), down.index, down.lead),
        failed,
        down,
        unowned,
        _Class(SHOULD_RUN, 1, "tasks_should_run", SHOULD_RUN),
        _Class(away, 1, "tasks_user", away),
        _of_services(conn, s.state == "late"),
        _of_services(conn, s.state == "unknown"),
        _of_services(conn, is_blind(now)),
        _Class(IS_ADRIFT, 1, "tasks_adrift", IS_ADRIFT),
        _Class(true(), max(1, counters.total(conn))),
    ]


def _of_services(conn: Connection, condition: Row) -> _Class:
    total = select(func.coalesce(func.sum(s.task_total), 0)).where(condition)
    rows = int(conn.execute(total).scalar_one())
    inside = c.service_id.in_(select(s.id).where(condition))
    return _Class(inside, rows, "tasks_service", inside)


def _of_class(
    conn: Connection,
    wanted: Filters,
    found_terms: Sequence[Term],
    classes: Sequence[_Class],
    rank: int,
    after_id: str,
    limit: int,
) -> list[Task]:
    one = classes[rank]
    query = select(*SHAPE.columns).where(is_listed(wanted), c.id > after_id, one.where).order_by(c.id).limit(limit)
    query = query.where(*(term.where for term in found_terms))
    query = query.where(*(not_(before.where) for before in classes[:rank] if before.rows))
    lead, index = _cheapest(conn, wanted, found_terms, one, limit)
    if lead is not None:
        query = query.where(lead)
    if index and not wanted.gone:
        query = query.with_hint(tasks, f"INDEXED BY {index}", "sqlite")
    return list(SHAPE.records(conn, query))


def _cheapest(
    conn: Connection, wanted: Filters, found_terms: Sequence[Term], one: _Class, limit: int
) -> tuple[Row | None, str]:
    """By the class's own rows, by a filter's, or by id until the page is full."""
    total = max(1, counters.total(conn))
    passing = expected(conn, wanted, found_terms, total) * min(1.0, one.rows / total)
    plans: list[tuple[float, Row | None, str]] = [(min(limit * total / max(passing, 0.5), total), None, sqlite.ID_INDEX)]
    if one.lead is not None:
        plans.append((one.rows * SORTED_COSTS, one.lead, one.index))
    plans += [(t.rows * SORTED_COSTS, t.lead, t.index) for t in found_terms if t.lead is not None and t.rows is not None]
    _cost, lead, index = min(plans, key=lambda plan: plan[0])
    return lead, index

"""`sort=risk`: what most needs a person first, then by id (UI 6, Board). Law: a class is read by its own index, the ones before
it excluded, so that a page costs what its rows cost, however many tasks are well.

Order: failed unowned, down unowned, failed, down, unowned, should run, owner away, late, unknown, stale, the rest.
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, and_, func, not_, select, true

from taskdash.model.instants import Instant
from taskdash.model.records import Task
from taskdash.store import counters, sqlite
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import IS_ADRIFT, SHOULD_RUN, Filters, Row, Term, absent_users, is_blind, is_listed, terms
from taskdash.store.task_page import Key, Page, rows_of
from taskdash.store.tasks import SHAPE

c, s = tasks.c, services.c
KINDS: tuple[type, ...] = (int, str)
FEW = 3_000
"""Up to so many rows of a class are taken by its index and sorted; more are met soon enough on the walk by id."""


class _Class(Struct, frozen=True):
    where: Row
    rows: int
    index: str = ""
    lead: Row | None = None


def page(conn: Connection, wanted: Filters, limit: int, now: Instant, after: Key | None = None) -> Page:
    """The rows that follow `after` (rank, id)."""
    rank, last_id = after or (0, "")
    found_terms = terms(conn, wanted, now)
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
        _Class(true(), FEW + 1),
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
    query = select(*SHAPE.columns).where(is_listed(wanted), c.id > after_id).order_by(c.id).limit(limit)
    rare = min((t for t in found_terms if t.lead is not None and t.rows is not None), key=lambda t: t.rows or 0, default=None)
    lead, index = None, sqlite.ID_INDEX
    if rare is not None and (rare.rows or 0) < min(one.rows, FEW):
        lead, index = rare.lead, rare.index
    elif one.lead is not None and one.rows <= FEW:
        lead, index = one.lead, one.index
    query = query.where(one.where, *(term.where for term in found_terms))
    query = query.where(*(not_(before.where) for before in classes[:rank] if before.rows))
    if lead is not None:
        query = query.where(lead)
    if index and not wanted.gone:
        query = query.with_hint(tasks, f"INDEXED BY {index}", "sqlite")
    return list(SHAPE.records(conn, query))

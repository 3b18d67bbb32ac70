"""One page of the task list: keyset over (sort key, pk), never OFFSET, by the index that costs least. SPEC 8, STORE.md.

SQLite's planner knows nothing of how many rows a filter passes; the counters do, so the index is chosen here: walk the sort
order and test rows on the way, walk a filter's own index in that order, or take a rare filter's rows and sort them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from taskdash.errors import BadField
from taskdash.model.instants import Instant
from taskdash.model.records import Service, Task, User
from taskdash.rules import risk
from taskdash.rules.risk import Reason
from taskdash.store import counters, sqlite
from taskdash.store.tables import services, tasks, users
from taskdash.store.task_filters import Filters, Term, expected, is_listed, terms
from taskdash.store.tasks import SHAPE

c = tasks.c
CAP = 10_000
Key = tuple[Any, ...]


class Sort(Struct, frozen=True):
    """An order: its columns before pk, its direction, the index that has it."""

    columns: tuple[str, ...]
    descending: bool
    index: str


_ORDERS = {
    "updated_at": (("updated_at",), "tasks_updated"),
    "name": (("name",), "tasks_name"),
    "status": (("status", "updated_at"), "tasks_status"),
    "id": (("id",), sqlite.ID_INDEX),
}
SORTS = {sign + name: Sort(columns, sign == "-", index) for name, (columns, index) in _ORDERS.items() for sign in ("", "-")}
_UNORDERED = Sort((), False, "")
KINDS: dict[str, tuple[type, ...]] = {
    name: (*(str if column in {"name", "status", "id"} else int for column in sort.columns), int)
    for name, sort in SORTS.items()
}
"""Types of the keys of a cursor, by sort."""


class TaskRow(Struct, frozen=True):
    """A task as lists show it. `why`: what puts it at risk."""

    task: Task
    liveness: str | None
    stale: bool
    why: tuple[Reason, ...]

    @property
    def at_risk(self) -> bool:
        """Anything puts it at risk (SPEC 6)."""
        return bool(self.why)


class Page(Struct, frozen=True):
    """Rows, and the key after which the next page begins; None: this was the last."""

    rows: list[TaskRow]
    next_key: Key | None


def sort_of(name: str) -> Sort:
    """Raises BadField for an order that there is not."""
    if name not in SORTS:
        raise BadField(f"sort must be risk or one of {', '.join(sorted(SORTS))}", field="sort")
    return SORTS[name]


def page(conn: Connection, wanted: Filters, sort: str, limit: int, now: Instant, after: Key | None = None) -> Page:
    """The rows that follow `after` in the order `sort`."""
    order = sort_of(sort)
    query = _planned(conn, wanted, terms(conn, wanted, now), order, limit)
    if after is not None:
        query = query.where(_follows(order, after))
    found: list[Task] = SHAPE.records(conn, query.limit(limit + 1))
    shown = found[:limit]
    last = _key(shown[-1], order) if len(found) > limit else None
    return Page(rows_of(conn, shown, now), last)


def _key(task: Task, order: Sort) -> Key:
    return (*(getattr(task, column) for column in order.columns), task.pk)


def _columns(order: Sort) -> list[ColumnElement[Any]]:
    return [*(c[name] for name in order.columns), c.pk]


def _follows(order: Sort, after: Key) -> ColumnElement[bool]:
    """The first column alone bounds the index; the rest settles rows that are equal in it."""
    columns = _columns(order)
    beyond = [
        and_(*(columns[i] == after[i] for i in range(n)), columns[n] < after[n] if order.descending else columns[n] > after[n])
        for n in range(len(columns))
    ]
    bound = columns[0] <= after[0] if order.descending else columns[0] >= after[0]
    return and_(bound, or_(*beyond))


def _planned(conn: Connection, wanted: Filters, found: Sequence[Term], order: Sort, limit: int) -> Select[Any]:
    query = select(*SHAPE.columns).where(is_listed(wanted))
    columns = _columns(order)
    ordered = query.order_by(*(column.desc() for column in columns)) if order.descending else query.order_by(*columns)
    if wanted.gone:
        return ordered.where(*(term.where for term in found)).with_hint(tasks, "INDEXED BY tasks_gone_at", "sqlite")
    plan = cheapest(conn, wanted, found, order, limit)
    for term in found:
        ordered = ordered.where(term.lead if term is plan.lead and term.lead is not None else term.where)
    return ordered.with_hint(tasks, f"INDEXED BY {plan.index}", "sqlite") if plan.index else ordered


class Plan(Struct, frozen=True):
    """Which index is entered, by which filter (None: the sort's own order), and what it costs in rows."""

    cost: float
    index: str
    lead: Term | None = None


def cheapest(conn: Connection, wanted: Filters, found: Sequence[Term], order: Sort, limit: int) -> Plan:
    """The plan that reads the fewest rows."""
    total = max(1, counters.total(conn))
    passing = expected(conn, wanted, found, total)
    walked = min(limit * total / max(passing, 0.5), total)
    return min(_plans(found, order, limit, passing, walked), key=lambda plan: plan.cost)


def _plans(found: Sequence[Term], order: Sort, limit: int, passing: float, walked: float) -> Iterator[Plan]:
    yield Plan(walked, order.index)
    for term in found:
        if term.lead is None or term.rows is None:
            continue
        yield Plan(term.rows * 1.5 + 1, term.index, term)
        if term.is_single and order.columns == ("updated_at",):
            yield Plan(min(limit * term.rows / max(passing, 0.5), term.rows), term.index, term)


def count(conn: Connection, wanted: Filters, now: Instant, cap: int = CAP) -> int:
    """How many pass, counted up to `cap` + 1: by the counters where they know, else by looking at rows."""
    known = None if wanted.gone else counted_already(conn, wanted)
    if known is None:
        known = _counted(conn, wanted, terms(conn, wanted, now), cap)
    return min(known, cap + 1)


def counted_already(conn: Connection, wanted: Filters) -> int | None:
    """The exact number where status, user and group are all that is asked, of the last two at most one."""
    plain = Filters(status=wanted.status, user=wanted.user, group=wanted.group)
    if wanted != plain or (wanted.user and wanted.group):
        return None
    if wanted.user or wanted.group:
        kind, values = ("user", wanted.user) if wanted.user else ("group", wanted.group)
        return counters.count(conn, kind, ["" if value == "none" else value for value in values], wanted.status)
    return counters.of_status(conn, wanted.status) if wanted.status else counters.total(conn)


def _counted(conn: Connection, wanted: Filters, found: Sequence[Term], cap: int) -> int:
    if len(found) == 1 and found[0].least > cap:
        return cap + 1
    inner = chosen(conn, wanted, found, c.pk).limit(cap + 1).subquery()
    return int(conn.execute(select(func.count()).select_from(inner)).scalar_one())


def chosen(conn: Connection, wanted: Filters, found: Sequence[Term], *columns: ColumnElement[Any]) -> Select[Any]:
    """The rows that pass, in no order: by a filter's index, or straight through the table."""
    plan = cheapest(conn, wanted, found, _UNORDERED, CAP)
    query = select(*columns).where(is_listed(wanted))
    for term in found:
        query = query.where(term.lead if term is plan.lead and term.lead is not None else term.where)
    if wanted.gone:
        return query.with_hint(tasks, "INDEXED BY tasks_gone_at", "sqlite")
    straight = plan.lead is None
    hint = "NOT INDEXED" if straight else f"INDEXED BY {plan.index}" if plan.index else ""
    return query.with_hint(tasks, hint, "sqlite") if hint else query


def ids(conn: Connection, wanted: Filters, now: Instant, limit: int) -> list[str]:
    """Ids of the tasks that pass, at most `limit`."""
    return list(conn.execute(chosen(conn, wanted, terms(conn, wanted, now), c.id).limit(limit)).scalars())


def walk(conn: Connection, wanted: Filters, now: Instant, after_pk: int, limit: int) -> list[TaskRow]:
    """For exports: those that pass after `after_pk`, by pk."""
    conditions = [is_listed(wanted), *(term.where for term in terms(conn, wanted, now)), c.pk > after_pk]
    query = select(*SHAPE.columns).where(*conditions).order_by(c.pk).limit(limit)
    return rows_of(conn, SHAPE.records(conn, query), now)


def rows_of(conn: Connection, found: Sequence[Task], now: Instant) -> list[TaskRow]:
    """Tasks with what their services and holders mean for them."""
    known = _services_of(conn, {task.service_id for task in found if task.service_id})
    holders = _holders_of(conn, {task.user for task in found if task.user})
    return [_row(task, known.get(task.service_id), holders.get(task.user), now) for task in found]


def _row(task: Task, service: Service | None, holder: User | None, now: Instant) -> TaskRow:
    stale = risk.staleness(task, service, now) is not None
    return TaskRow(task, service.state if service else None, stale, risk.reasons(task, service, holder, now))


def _services_of(conn: Connection, wanted: set[str]) -> dict[str, Service]:
    s = services.c
    query = select(s.id, s.state, s.since, s.fresh_until).where(s.id.in_(wanted))
    return {row[0]: Service(id=row[0], state=row[1], since=row[2], fresh_until=row[3]) for row in conn.execute(query)}


def _holders_of(conn: Connection, wanted: set[str]) -> dict[str, User]:
    u = users.c
    query = select(u.name, u.role, u.disabled, u.away_until).where(u.name.in_(wanted))
    return {row[0]: User(name=row[0], role=row[1], disabled=row[2], away_until=row[3]) for row in conn.execute(query)}

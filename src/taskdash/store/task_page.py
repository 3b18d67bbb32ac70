"""One page of the task list: keyset over (sort key, pk), never OFFSET, by the way that costs least (`task_plan`). SPEC 8."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, func, not_, select

from taskdash.errors import BadField
from taskdash.model.instants import Instant
from taskdash.model.records import Service, Task, User
from taskdash.rules import risk
from taskdash.rules.risk import Reason
from taskdash.store import counters, hot, task_plan
from taskdash.store.elements import one_of
from taskdash.store.tables import ID_INDEX, services, tasks, users
from taskdash.store.task_filters import NONE, Filters
from taskdash.store.task_plan import Asked, Sort
from taskdash.store.task_terms import Part, Row, Term, by_index, expected, is_listed, on_ill_services, terms
from taskdash.store.tasks import SHAPE

c = tasks.c
_SERVICES = hot.ByKey([services.c[name] for name in ("id", "state", "since", "fresh_until", "flapping")], services.c.id)
_HOLDERS = hot.ByKey([users.c[name] for name in ("name", "role", "disabled", "away_until")], users.c.name)
CAP = 10_000
Key = task_plan.Key


_ORDERS = {
    "updated_at": (("updated_at",), "tasks_updated"),
    "name": (("name",), "tasks_name"),
    "status": (("status", "updated_at"), "tasks_status"),
    "id": (("id",), ID_INDEX),
}
SORTS = {sign + name: Sort(columns, sign == "-", index) for name, (columns, index) in _ORDERS.items() for sign in ("", "-")}
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
    flapping: bool = False
    """Its service changes between up and down."""

    @property
    def at_risk(self) -> bool:
        """Anything puts it at risk (SPEC 6)."""
        return bool(self.why)


class Page(Struct, frozen=True):
    """Rows, and the key after which the next page begins; None: this was the last."""

    rows: list[TaskRow]
    next_key: Key | None
    is_partial: bool = False
    """The text was too short for the index: only the newest tasks were searched."""


def sort_of(name: str) -> Sort:
    """Raises BadField for an order that there is not."""
    if name not in SORTS:
        raise BadField(f"sort must be risk or one of {', '.join(sorted(SORTS))}", field="sort")
    return SORTS[name]


def page(conn: Connection, wanted: Filters, sort: str, limit: int, now: Instant, after: Key | None = None) -> Page:
    """The rows that follow `after` in the order `sort`. Fewer than `limit` and a next key: the search ended at its bound."""
    order = sort_of(sort)
    found_terms = terms(conn, wanted, now)
    found = task_plan.first(conn, asked_of(conn, wanted, found_terms), order, limit + 1, after)
    keys = found.keys[:limit]
    next_key = keys[-1] if len(found.keys) > limit else found.stop
    rows = rows_of(conn, records_of(conn, [key[-1] for key in keys]), now)
    return Page(rows, next_key, any(term.is_partial for term in found_terms))


def asked_of(conn: Connection, wanted: Filters, found: Sequence[Term]) -> Asked:
    """The filters, and how many rows are expected to pass."""
    total = max(1, counters.total(conn))
    return Asked(is_listed(wanted), found, expected(conn, wanted, found, total), total, wanted.gone)


def records_of(conn: Connection, pks: Sequence[int]) -> list[Task]:
    """The tasks in the order of their pks."""
    found = {task.pk: task for task in SHAPE.load_many(conn, c.pk, pks)}
    return [found[pk] for pk in pks if pk in found]


def matching(conn: Connection, wanted: Filters, pks: Sequence[int], now: Instant) -> set[int]:
    """Which of these tasks pass the filters."""
    tests = [term.where for term in terms(conn, wanted, now)]
    listed = is_listed(wanted)
    return set(conn.execute(select(c.pk).where(one_of(c.pk, pks), listed, *tests)).scalars())


def count(conn: Connection, wanted: Filters, now: Instant, cap: int = CAP) -> int:
    """How many pass, counted up to `cap` + 1: by the counters where they know, else by looking at rows."""
    known = None if wanted.gone else counted_already(conn, wanted)
    if known is None:
        known = counted(conn, wanted, terms(conn, wanted, now), cap)
    return min(known, cap + 1)


MOST_ILL = 50_000
"""Tasks on services in trouble; of more, what hangs on the states of services takes long to count."""


def counts_fast(conn: Connection, wanted: Filters, now: Instant) -> bool:
    """Whether `count` takes few milliseconds however many tasks there are: no text is sought, and few services are ill."""
    if wanted.q:
        return False
    by_state = wanted.at_risk is not None or wanted.stale is not None or bool(wanted.liveness)
    return not by_state or on_ill_services(conn, now).rows <= MOST_ILL


def counted_already(conn: Connection, wanted: Filters) -> int | None:
    """The exact number where status, user and group are all that is asked, of the last two at most one."""
    plain = Filters(status=wanted.status, user=wanted.user, group=wanted.group)
    if wanted != plain or (wanted.user and wanted.group):
        return None
    if wanted.user or wanted.group:
        kind, values = ("user", wanted.user) if wanted.user else ("group", wanted.group)
        return counters.count(conn, kind, ["" if value == NONE else value for value in values], wanted.status)
    return counters.of_status(conn, wanted.status) if wanted.status else counters.total(conn)


def counted(conn: Connection, wanted: Filters, found: Sequence[Term], cap: int) -> int:
    """How many rows pass all terms, up to `cap` + 1; alternatives one after another when that reads fewer rows."""
    if is_above(conn, wanted, found, cap):
        return cap + 1
    asked = asked_of(conn, wanted, found)
    split = next((term for term in found if term.parts), None)
    if split is None or wanted.gone or (split.rows or 0) > min(_SPLIT_COSTS * _led(found), asked.total / 2):
        return number(conn, task_plan.unsorted(asked, cap, c.pk), cap + 1)
    tests = [term.where for term in found if term is not split]
    n = 0
    for index, part in enumerate(split.parts):
        if n <= cap:
            n += number(conn, alone(part, [asked.listed, *tests], split.parts[:index], c.pk), cap + 1 - n)
    return n


def is_above(conn: Connection, wanted: Filters, found: Sequence[Term], cap: int) -> bool:
    """More than `cap` pass for certain, as counters alone know: of sets of a and b of n rows at least a + b - n are in both."""
    if wanted.gone:
        return False
    if (known := counted_already(conn, wanted)) is not None:
        return known > cap
    if len(found) == 1 and found[0].parts:
        return max(part.rows for part in found[0].parts) > cap
    if any(term.rows is None or term.parts or term.reads_text for term in found):
        return False
    total = counters.total(conn)
    return total - sum(total - (term.rows or 0) for term in found) > cap


_SPLIT_COSTS = 4
"""To test a row for all alternatives, against meeting it by one of them."""


def _led(found: Sequence[Term]) -> float:
    return min((term.rows for term in found if term.leads and not term.parts and term.rows is not None), default=float("inf"))


def alone(part: Part, tests: Sequence[Row], earlier: Sequence[Part], *columns: ColumnElement[Any]) -> Select[Any]:
    """The rows of one alternative that are in none of the earlier ones."""
    query = select(*columns).where(part.where, *tests, and_(True, *(not_(other.where) for other in earlier)))
    return by_index(query, part.index)


def number(conn: Connection, query: Select[Any], most: int) -> int:
    """How many rows a query has, counted up to `most`."""
    return int(conn.execute(select(func.count()).select_from(query.limit(most).subquery())).scalar_one())


def ids(conn: Connection, wanted: Filters, now: Instant, limit: int) -> list[str]:
    """Ids of the tasks that pass, at most `limit`."""
    asked = asked_of(conn, wanted, terms(conn, wanted, now))
    return list(conn.execute(task_plan.unsorted(asked, limit, c.id).limit(limit)).scalars())


def walk(conn: Connection, wanted: Filters, now: Instant, after_pk: int, limit: int) -> list[TaskRow]:
    """For exports: those that pass after `after_pk`, by pk."""
    conditions = [is_listed(wanted), *(term.where for term in terms(conn, wanted, now)), c.pk > after_pk]
    query = by_index(select(*SHAPE.columns).where(*conditions), "").order_by(c.pk).limit(limit)
    return rows_of(conn, SHAPE.records(conn, query), now)


def rows_of(conn: Connection, found: Sequence[Task], now: Instant) -> list[TaskRow]:
    """Tasks with what their services and holders mean for them."""
    known = _services_of(conn, {task.service_id for task in found if task.service_id})
    holders = _holders_of(conn, {task.user for task in found if task.user})
    return [_row(task, known.get(task.service_id), holders.get(task.user), now) for task in found]


def _row(task: Task, service: Service | None, holder: User | None, now: Instant) -> TaskRow:
    stale = risk.staleness(task, service, now) is not None
    state, flapping = (service.state, service.flapping) if service else (None, False)
    return TaskRow(task, state, stale, risk.reasons(task, service, holder, now), flapping)


def _services_of(conn: Connection, wanted: set[str]) -> dict[str, Service]:
    rows = _SERVICES.rows(conn, list(wanted))
    return {
        key: Service(id=key, state=state, since=since, fresh_until=until, flapping=bool(flapping))
        for key, state, since, until, flapping in rows
    }


def _holders_of(conn: Connection, wanted: set[str]) -> dict[str, User]:
    rows = _HOLDERS.rows(conn, list(wanted))
    return {name: User(name=name, role=role, disabled=bool(off), away_until=until) for name, role, off, until in rows}

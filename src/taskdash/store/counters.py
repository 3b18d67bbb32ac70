"""How many tasks (gone ones not counted) have which status, user and group: kept in the transaction of each change.

Facets and the choice of an index at a million tasks cost a look at these (STORE.md). Written only by `store.tasks`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select, update

from taskdash.model.records import Task
from taskdash.store import hot
from taskdash.store.elements import upsert
from taskdash.store.tables import services, task_counts, tasks

Key = tuple[str, str, str]
"""(kind, value, status); kind is `user`, `group`, `status` (value "") or `served` (both ""): those that have a service."""
_c = task_counts.c
_NEW = upsert(task_counts).values({name: bindparam(name) for name in ("kind", "value", "status", "n")})
_ADD = _NEW.on_conflict_do_update(index_elements=["kind", "value", "status"], set_={"n": _c.n + _NEW.excluded.n})
_ADD_TOTAL = (
    update(services).where(services.c.id == bindparam("b_id")).values(task_total=services.c.task_total + bindparam("b_n"))
)


_SUM = select(func.coalesce(func.sum(_c.n), literal_column("0"))).where(_c.kind == bindparam("kind"))
_SUM_OF_VALUE = _SUM.where(_c.value == bindparam("value"))
_SUM_OF_PAIR = _SUM_OF_VALUE.where(_c.status == bindparam("status"))


def add(conn: Connection, changes: Iterable[tuple[Task | None, Task | None]]) -> None:
    """Count (before, after) of each changed task."""
    deltas: Counter[Key] = Counter()
    totals: Counter[str] = Counter()
    for before, after in changes:
        _count(deltas, totals, before, -1)
        _count(deltas, totals, after, 1)
    hot.change_many(conn, _ADD, [(*key, n) for key, n in deltas.items() if n])
    hot.change_many(conn, _ADD_TOTAL, [(n, service) for service, n in totals.items() if n])


def _count(deltas: Counter[Key], totals: Counter[str], task: Task | None, by: int) -> None:
    if task is None or task.gone_at is not None:
        return
    status = task.status
    deltas["user", task.user, status] += by
    deltas["group", task.group_id, status] += by
    deltas["status", "", status] += by
    if task.service_id:
        deltas["served", "", ""] += by
        totals[task.service_id] += by


def total(conn: Connection) -> int:
    """How many tasks there are."""
    return int(hot.rows(conn, _SUM, ("status",))[0][0])


def count(conn: Connection, kind: str, values: Iterable[str], statuses: Iterable[str] = ()) -> int:
    """How many tasks have one of `values` (kind user or group) and, if given, one of `statuses`."""
    some, wanted = list(values), list(statuses)
    if len(some) == 1 and len(wanted) <= 1:  # a page asks for dozens of these
        return int(hot.rows(conn, _SUM_OF_PAIR if wanted else _SUM_OF_VALUE, (kind, *some, *wanted))[0][0])
    query = select(func.coalesce(func.sum(_c.n), 0)).where(_c.kind == kind, _c.value.in_(some))
    return int(conn.execute(query.where(_c.status.in_(wanted)) if wanted else query).scalar_one())


def of_status(conn: Connection, statuses: Iterable[str]) -> int:
    """How many tasks have one of `statuses`."""
    return count(conn, "status", [""], statuses)


def by_status(conn: Connection, limit: int) -> Mapping[str, int]:
    """Tasks by status, the most frequent first."""
    query = select(_c.status, _c.n).where(_c.kind == "status", _c.n > 0).order_by(_c.n.desc(), _c.status)
    return {row[0]: row[1] for row in conn.execute(query.limit(limit))}


def by_value(conn: Connection, kind: str, limit: int, statuses: Sequence[str] = ()) -> Mapping[str, int]:
    """Tasks by user or group, of `statuses` if given, the most frequent first."""
    summed = func.sum(_c.n).label("n")
    query: Select[Any] = select(_c.value, summed).where(_c.kind == kind).group_by(_c.value)
    if statuses:
        query = query.where(_c.status.in_(statuses))
    rows = conn.execute(query.having(summed > 0).order_by(summed.desc(), _c.value).limit(limit))
    return {row[0]: row[1] for row in rows}


def served(conn: Connection) -> int:
    """How many tasks have a service."""
    return count(conn, "served", [""])


def statuses_of(conn: Connection, kind: str, values: Iterable[str], limit: int) -> Mapping[str, int]:
    """Tasks by status of those with one of `values` (kind user or group), the most frequent first."""
    summed = func.sum(_c.n).label("n")
    query = select(_c.status, summed).where(_c.kind == kind, _c.value.in_(list(values))).group_by(_c.status)
    rows = conn.execute(query.having(summed > 0).order_by(summed.desc(), _c.status).limit(limit))
    return {row[0]: row[1] for row in rows}


def actual(conn: Connection) -> dict[Key, int]:
    """The same counts taken from the tasks themselves (`db check`)."""
    found: dict[Key, int] = {}
    t = tasks.c
    for kind, column in (("user", t.user), ("group", t.group_id)):
        query = select(column, t.status, func.count()).where(t.gone_at.is_(None)).group_by(column, t.status)
        for value, status, n in conn.execute(query):
            found[kind, value, status] = n
            if kind == "user":
                found["status", "", status] = found.get(("status", "", status), 0) + n
    query = select(func.count()).where(t.gone_at.is_(None), t.service_id != "")
    if n := conn.execute(query).scalar_one():
        found["served", "", ""] = n
    return found


def stored(conn: Connection) -> dict[Key, int]:
    """The counts as they are kept, without zeros."""
    rows = conn.execute(select(_c.kind, _c.value, _c.status, _c.n).where(_c.n != 0))
    return {(kind, value, status): n for kind, value, status, n in rows}

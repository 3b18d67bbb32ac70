"""How many tasks some services have and how many of them are at risk: by the conditions of the task list.

Law: both numbers are those of the list behind their link (UI 1.8), so what a person may not see is not counted. No decisions.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, or_, select

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules.risk import BLIND, ILL
from taskdash.store.tables import tasks
from taskdash.store.task_filters import Filters, Visible
from taskdash.store.task_page import alone
from taskdash.store.task_terms import Part, Row, by_index, is_listed, risk_parts, terms

c = tasks.c
MOST = 50_000
"""So many tasks of the services are read one by one; of more, only those that something puts at risk."""


class TaskCount(NamedTuple):
    """Of one service; tasks that are gone are not counted."""

    total: int
    at_risk: int


def of_services(
    conn: Connection, found: Sequence[Service], now: Instant, visible_to: Visible | None = None
) -> dict[str, TaskCount]:
    """By id of the service."""
    wanted = Filters(visible_to=visible_to)
    tests = [is_listed(wanted), *(term.where for term in terms(conn, wanted, now))]
    totals = {service.id: service.task_total for service in found if service.task_total}
    if visible_to is not None:
        totals = _by_service(conn, _of(totals, tests))
    ill = {service.id: totals[service.id] for service in found if service.id in totals and _is_ill(service, now)}
    well = {key: n for key, n in totals.items() if key not in ill}
    at_risk = ill | _at_risk(conn, well, tests, risk_parts(conn, wanted, now)[:-1])
    return {service.id: TaskCount(totals.get(service.id, 0), at_risk.get(service.id, 0)) for service in found}


def _is_ill(service: Service, now: Instant) -> bool:
    """All of its tasks are at risk, whatever else is true of them."""
    is_old = service.fresh_until is not None and service.fresh_until < now
    return service.state in ILL | BLIND or is_old


def _at_risk(conn: Connection, well: dict[str, int], tests: Sequence[Row], parts: Sequence[Part]) -> dict[str, int]:
    """Of services that are well: tasks that are at risk by themselves."""
    if not well:
        return {}
    if sum(well.values()) <= MOST:
        return _by_service(conn, _of(well, [*tests, or_(*(part.where for part in parts))]))
    found: Counter[str] = Counter()
    inside = [*tests, c.service_id.in_(list(well))]
    for index, part in enumerate(parts):
        if part.rows:
            found.update(_by_service(conn, alone(part, inside, parts[:index], c.service_id)))
    return found


def _of(ids: Iterable[str], tests: Sequence[Row]) -> Select[Any]:
    return by_index(select(c.service_id).where(c.service_id.in_(list(ids)), *tests), "tasks_service")


def _by_service(conn: Connection, query: Select[Any]) -> dict[str, int]:
    rows = query.with_only_columns(c.service_id, func.count()).group_by(c.service_id)
    return {row[0]: row[1] for row in conn.execute(rows)}

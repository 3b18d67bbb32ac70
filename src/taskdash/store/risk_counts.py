"""At risk and stale counted together: most of both are tasks of the same ill services, and are met once. For `store.facets`."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import Connection, Select, and_, case, func, not_, or_, select

from taskdash.model.instants import Instant
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP, alone, count, number
from taskdash.store.task_terms import IS_ADRIFT, Part, Row, by_index, is_blind, is_listed, risk_parts, terms

c, s = tasks.c, services.c
MOST = 100_000
"""Of more tasks on ill services each is counted up to the cap by itself."""


def at_risk_and_stale(conn: Connection, wanted: Filters, now: Instant) -> tuple[int, int] | None:
    """Both up to the cap, under filters that ask for neither; None: they are to be counted one by one."""
    if wanted.gone or wanted.at_risk is not None or wanted.stale is not None:
        return None
    failed, *others, ill = risk_parts(conn, wanted, now)
    found = terms(conn, wanted, now)
    fewest = min((term.rows for term in found if term.leads and term.rows is not None), default=MOST)
    if not found or ill.rows > min(MOST, 4 * fewest):
        return None
    tests = [is_listed(wanted), *(term.where for term in found)]
    beside_liveness = [is_listed(wanted), *(term.where for term in found if term.name != "liveness")]  # that is in `ill`
    at_risk, blind = _on_ill_services(conn, beside_liveness, [failed, *others], ill, now)
    stale = blind + _drifting(conn, tests, now)
    at_risk += _failed(conn, wanted, now)
    for index, part in enumerate(others):
        if at_risk <= CAP:
            at_risk += number(conn, alone(part, tests, [failed, *others[:index]], c.pk), CAP + 1)
    return min(at_risk, CAP + 1), min(stale, CAP + 1)


def _failed(conn: Connection, wanted: Filters, now: Instant) -> int:
    """Counters know them under many filters."""
    is_left_out = wanted.status and "failed" not in wanted.status
    return 0 if is_left_out else count(conn, structs.replace(wanted, status=("failed",)), now)


def _on_ill_services(
    conn: Connection, tests: Sequence[Row], others: Sequence[Part], ill: Part, now: Instant
) -> tuple[int, int]:
    """Those at risk by their service alone, and those of which it cannot tell."""
    is_only_ill = not_(or_(*(part.where for part in others)))
    columns: list[Any] = [func.count(case((is_only_ill, 1))), func.count(case((_is_on_blind(now), 1)))]
    query: Select[Any] = select(*columns).where(ill.where, *tests)
    at_risk, blind = conn.execute(by_index(query, ill.index)).one()
    return at_risk, blind


def _drifting(conn: Connection, tests: Sequence[Row], now: Instant) -> int:
    """Those that are stale by their own connection alone."""
    drifting = select(c.pk).where(and_(IS_ADRIFT, not_(_is_on_blind(now))), *tests)
    return number(conn, by_index(drifting, "tasks_adrift"), CAP + 1)


def _is_on_blind(now: Instant) -> Row:
    return c.service_id.in_(select(s.id).where(is_blind(now)))

"""`sort=risk`: what most needs a person first, then by id (UI 6, Board). Law: a class is read by its own index, the ones before
it excluded, so that a page costs what its rows cost, however many tasks are well.

Order: failed unowned, down unowned, failed, down, at risk and unowned, should run, owner away, late, unknown, stale; then what
is at no risk: unowned, the rest. So all that is at risk comes first: to be unowned alone is not a risk (SPEC 6).
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, and_, not_, select

from taskdash.model.instants import Instant
from taskdash.rules.risk import BLIND
from taskdash.store import counters, hot, task_plan
from taskdash.store.dialect import of
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import NONE, Filters
from taskdash.store.task_page import Page, asked_of, records_of, rows_of
from taskdash.store.task_plan import BY_ID, Asked, Key
from taskdash.store.task_terms import (
    Lead,
    Term,
    absent_users,
    adrift,
    any_of,
    by_index,
    failed,
    held_by_absent,
    is_blind,
    on_services,
    should_run,
    terms,
    unowned,
)

c, s = tasks.c, services.c
_SERVICES = hot.ByKey([s.id, s.state, s.fresh_until], s.id)
KINDS: tuple[type, ...] = (int, str)
RARE = 3_000
"""Up to so many rows are ranked here."""
_FAILED_UNOWNED, _DOWN_UNOWNED, _FAILED, _DOWN, _UNOWNED = range(5)
_SHOULD_RUN, _ABSENT, _LATE, _UNKNOWN, _BLIND, _ADRIFT, _AT_EASE, _REST = range(5, 13)


class _Class(Struct, frozen=True):
    found: tuple[Term, ...]
    """What a task of it passes, beside not being in a class before."""
    rows: int
    others: tuple[ColumnElement[bool], ...] | None = None
    """What a task of it does not pass; None: any of the classes before."""


def page(conn: Connection, wanted: Filters, limit: int, now: Instant, after: Key | None = None) -> Page:
    """The rows that follow `after` (rank, id)."""
    found_terms = terms(conn, wanted, now)
    asked = asked_of(conn, wanted, found_terms)
    rank, last_id = after or (0, "")
    few = _few(found_terms)
    if few is not None and not wanted.gone:
        found, next_key = _of_few(conn, asked, *few, limit, now, (rank, last_id))
    else:
        found, next_key = _by_class(conn, wanted, asked, limit, now, (rank, last_id))
    rows = rows_of(conn, records_of(conn, found), now)
    return Page(rows, next_key, any(term.is_partial for term in found_terms))


def _few(found: Sequence[Term]) -> tuple[Term, Lead] | None:
    """The rarest filter, when it leads to few rows."""
    rare = min((t for t in found if t.leads and t.rows is not None), key=lambda term: term.rows or 0, default=None)
    return (rare, rare.leads[0]) if rare is not None and (rare.rows or 0) <= RARE else None


def _of_few(
    conn: Connection, asked: Asked, term: Term, lead: Lead, limit: int, now: Instant, after: Key
) -> tuple[list[int], Key | None]:
    """All rows of a rare filter at once, ranked and sorted here: cheaper than asking for each class."""
    way = task_plan.Way(0, lead.index, 0, False, lead, term)
    columns = (c.pk, c.id, c.status, c.user, c.schedule, c.adrift, c.service_id)
    rows = of(conn).plain_rows(conn, by_index(select(*columns).where(*asked.where(way)), way.index))
    ranks = _Ranks(conn, {row[-1] for row in rows}, now)
    keyed = sorted((key, pk) for pk, task_id, *marks in rows if (key := (ranks.of(*marks), task_id)) > after)
    return [pk for _key, pk in keyed[:limit]], keyed[limit - 1][0] if len(keyed) > limit else None


class _Ranks:
    """The same order as `_classes`, for one row at a time."""

    def __init__(self, conn: Connection, service_ids: set[str], now: Instant) -> None:
        known = _SERVICES.rows(conn, list(service_ids))
        self._services = {key: _rank_of_state(state, (until or now) < now) for key, state, until in known}
        self._absent = set(conn.execute(absent_users(now)).scalars())

    def of(self, status: str, user: str, schedule: str, adrift: bool, service_id: str) -> int:
        """The class of a task."""
        by_service = self._services.get(service_id, _REST)
        if status == "failed":
            return _FAILED if user else _FAILED_UNOWNED
        if by_service == _DOWN:
            return _DOWN if user else _DOWN_UNOWNED
        held = self._held(user, schedule, adrift, by_service)
        if not user:
            return _AT_EASE if held == _REST else _UNOWNED
        return held

    def _held(self, user: str, schedule: str, adrift: bool, by_service: int) -> int:
        if schedule == "should_run":
            return _SHOULD_RUN
        if user in self._absent:
            return _ABSENT
        return min(by_service, _ADRIFT if adrift else _REST)


def _rank_of_state(state: str, is_old: bool) -> int:
    if state == "down":
        return _DOWN
    if state == "late":
        return _LATE
    if state == "unknown":
        return _UNKNOWN
    return _BLIND if state in BLIND or is_old else _REST


def _by_class(
    conn: Connection, wanted: Filters, asked: Asked, limit: int, now: Instant, after: Key
) -> tuple[list[int], Key | None]:
    """The pks of a page, a class at a time."""
    found: list[tuple[Key, int]] = []
    rank, last_id = after
    classes = _classes(conn, wanted, now)
    for at in range(rank, _REST + 1):
        if not classes[at].rows or not _may_hold(wanted, at):
            continue
        before = (last_id, 0) if at == rank and last_id else None
        read = task_plan.first(conn, _narrowed(asked, classes, at), BY_ID, limit + 1 - len(found), before)
        found += [((at, key[0]), key[-1]) for key in read.keys]
        if len(found) > limit:
            return [pk for _key, pk in found[:limit]], found[limit - 1][0]
        if read.stop is not None:
            return [pk for _key, pk in found], (at, read.stop[0])
    return [pk for _key, pk in found], None


def _narrowed(asked: Asked, classes: Sequence[_Class], at: int) -> Asked:
    """The rows that are asked for and of this class: those before it that have rows are excluded."""
    mine = classes[at]
    before = mine.others
    if before is None:
        before = tuple(and_(*(term.where for term in one.found)) for one in classes[:at] if one.rows)
    passing = asked.passing * min(1.0, mine.rows / asked.total)
    found = [*mine.found, *asked.found, *(Term(not_(where), asked.total) for where in before)]
    return structs.replace(asked, found=found, passing=passing)


def _classes(conn: Connection, wanted: Filters, now: Instant) -> list[_Class]:
    if wanted.gone:  # none of them is at risk
        return [_Class((), 0)] * _REST + [_Class((), 1)]
    no_one, fail, down = unowned(conn), failed(conn), on_services(conn, s.state == "down")
    both = counters.count(conn, "user", [""], ["failed"])
    held = list(_of_the_held(conn, now))
    run, absent, late, _unknown, blind, drifting = held
    risk = any_of([fail, run, drifting, absent, late, blind])
    return [
        _Class((fail, no_one), both),
        _Class((down, no_one), min(down.rows or 0, no_one.rows or 0)),
        *(_Class((one,), one.rows or 0) for one in (fail, down)),
        _Class((no_one, risk), _both(no_one, risk, counters.total(conn))),
        *(_Class((one,), one.rows or 0) for one in held),
        _Class((no_one,), no_one.rows or 0, (risk.where,)),
        _Class((), max(1, counters.total(conn)), (no_one.where, risk.where)),
    ]


def _both(one: Term, other: Term, total: int) -> int:
    """About how many rows pass both, taken as independent; 0 only when there are none."""
    fewer, more = sorted((one.rows or 0, other.rows or 0))
    return min(fewer, 1 + fewer * more // max(1, total))


def _of_the_held(conn: Connection, now: Instant) -> Iterator[Term]:
    yield should_run(conn)
    yield held_by_absent(conn, now)
    yield on_services(conn, s.state == "late")
    yield on_services(conn, s.state == "unknown")
    yield on_services(conn, is_blind(now))
    yield adrift(conn)


_ONLY_UNOWNED = frozenset({_FAILED_UNOWNED, _DOWN_UNOWNED, _UNOWNED, _AT_EASE})


def _may_hold(wanted: Filters, rank: int) -> bool:
    """False where the filters leave nothing of a class, so that it is not searched in vain."""
    if wanted.gone:
        return True
    is_risk = rank < _AT_EASE
    if (is_risk and wanted.at_risk is False) or (not is_risk and (wanted.at_risk or wanted.stale)):
        return False
    if wanted.status == ("failed",) and rank not in {_FAILED_UNOWNED, _FAILED}:
        return False
    if wanted.status and "failed" not in wanted.status and rank in {_FAILED_UNOWNED, _FAILED}:
        return False
    if wanted.user == (NONE,):
        return rank in _ONLY_UNOWNED
    return not wanted.user or NONE in wanted.user or rank not in _ONLY_UNOWNED

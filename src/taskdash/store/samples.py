"""The rows that pass a filter, of more than 10,000 the newest: read once, counted many ways. For `store.facets`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, or_, select

from taskdash.model.instants import Instant
from taskdash.rules.risk import BLIND, ILL
from taskdash.store import task_plan
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP, alone, asked_of
from taskdash.store.task_plan import Asked
from taskdash.store.task_terms import Part, Term, absent_users

c, s = tasks.c, services.c
LARGEST = 50
"""So many values of a facet are shown."""
_FEW_SERVICES = 500
_PLACE = {"status": 0, "service": 1, "user": 2, "group": 3}
_COLUMNS = (c.status, c.service_id, c.user, c.group_id, c.schedule, c.adrift)


def _newest(conn: Connection, asked: Asked) -> Sequence[Any]:
    return conn.execute(task_plan.newest(asked, CAP, *_COLUMNS).limit(CAP + 1)).all()


def _of_each(conn: Connection, parts: Sequence[Part]) -> list[Any]:
    """Of alternatives that are too many together each gives its share, so that none hides the others."""
    total = sum(part.rows for part in parts)
    rows: list[Any] = []
    for index, part in enumerate(parts):
        share = CAP + 1 if total <= CAP else -(-(CAP + len(parts)) * part.rows // total)
        rows += conn.execute(alone(part, [c.gone_at.is_(None)], parts[:index], *_COLUMNS).limit(share)).all()
    return rows


class Sample:
    """`rows` as tuples in the order of `_COLUMNS`; `is_cut`: there are more."""

    def __init__(self, conn: Connection, wanted: Filters, found: Sequence[Term], now: Instant) -> None:
        parts = found[0].parts if len(found) == 1 and not wanted.gone else ()
        self.rows: Sequence[Any] = _of_each(conn, parts) if parts else _newest(conn, asked_of(conn, wanted, found))
        self.is_cut = len(self.rows) > CAP or sum(part.rows for part in parts) > CAP
        self._conn, self._now, self._is_gone = conn, now, wanted.gone
        self._known: dict[str, tuple[str, bool]] | None = None

    def counts(self, name: str) -> Mapping[str, int]:
        """Rows by value of one facet."""
        if name != "liveness":
            return Counter(map(itemgetter(_PLACE[name]), self.rows))
        states: Counter[str] = Counter()
        known = self._services()
        for service_id, n in Counter(map(itemgetter(1), self.rows)).items():
            if service_id:
                states[known[service_id][0] if service_id in known else "up"] += n
        return states

    def numbers(self) -> dict[str, int]:
        """How many are at risk, unowned, stale, should run (SPEC 6, 3)."""
        absent, known = set(self._conn.execute(absent_users(self._now)).scalars()), self._services()
        at_risk = unowned = stale = should_run = 0
        for status, service_id, user, _group, schedule, adrift in self.rows:
            state, is_blind = known.get(service_id, ("", False))
            is_stale = adrift or is_blind
            should_run += schedule == "should_run"
            unowned += not user
            stale += is_stale
            at_risk += is_stale or status == "failed" or schedule == "should_run" or state in ILL or user in absent
        return {"at_risk": 0 if self._is_gone else at_risk, "unowned": unowned, "stale": stale, "should_run": should_run}

    def _services(self) -> dict[str, tuple[str, bool]]:
        """State and blindness of the services that are not simply up; when there are few rows, of theirs."""
        if self._known is None:
            mine = {row[1] for row in self.rows}
            own = [s.id.in_(mine)] if len(mine) <= _FEW_SERVICES else []
            others = select(s.id, s.state).where(or_(s.state < "up", s.state > "up"), *own)
            late = select(s.id, s.state).where(s.fresh_until < self._now, *own)
            known = {row[0]: (row[1], row[1] in BLIND) for row in self._conn.execute(others).all()}
            self._known = known | {row[0]: (row[1], True) for row in self._conn.execute(late).all()}
        return self._known

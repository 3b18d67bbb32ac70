"""The rows that pass a filter, newest first, up to 10,001: read once, counted many ways. For `store.facets`."""

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
from taskdash.store.task_page import CAP, asked_of
from taskdash.store.task_terms import Term, absent_users

c, s = tasks.c, services.c
LARGEST = 50
"""So many values of a facet are shown."""
_FEW_SERVICES = 500
_PLACE = {"status": 0, "service": 1, "user": 2, "group": 3}
_COLUMNS = (c.status, c.service_id, c.user, c.group_id, c.schedule, c.adrift)


class Sample:
    """`rows` as tuples in the order of `_COLUMNS`; `is_cut`: there are more."""

    def __init__(self, conn: Connection, wanted: Filters, found: Sequence[Term], now: Instant) -> None:
        query = task_plan.newest(asked_of(conn, wanted, found), CAP, *_COLUMNS).limit(CAP + 1)
        self.rows: Sequence[Any] = conn.execute(query).all()
        self.is_cut = len(self.rows) > CAP
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

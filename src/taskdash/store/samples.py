"""The rows that pass a filter, of more than 10,000 the newest: read once, counted many ways. For `store.facets`."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from taskdash.model.instants import Instant
from taskdash.rules.risk import BLIND, ILL
from taskdash.store import task_plan
from taskdash.store.dialect import of
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import CAP, alone, asked_of
from taskdash.store.task_plan import Asked
from taskdash.store.task_terms import Part, Term, absent_users, beside

c, s = tasks.c, services.c
LARGEST = 50
"""So many values of a facet are shown."""
_FEW_SERVICES = 500
_OF_FACET = {"status": c.status, "service": c.service_id, "user": c.user, "group": c.group_id, "liveness": c.service_id}
_WHOLE = (c.status, c.service_id, c.user, c.group_id, c.schedule, c.adrift)
Column = ColumnElement[Any]


class Sample:
    """What passes `found`, the terms of `wanted`, read for these facets; `is_whole`: and for the numbers."""

    def __init__(
        self,
        conn: Connection,
        wanted: Filters,
        found: Sequence[Term],
        now: Instant,
        names: Collection[str],
        is_whole: bool = False,
    ) -> None:
        self._conn, self._now, self._is_gone = conn, now, wanted.gone
        self.is_whole = is_whole
        self._columns = (
            _WHOLE if is_whole else list({_OF_FACET[name].key: _OF_FACET[name] for name in names}.values()) or [c.pk]
        )
        parts = found[0].parts if len(found) == 1 and not wanted.gone else ()
        asked = asked_of(conn, wanted, found)
        self.rows = _of_each(conn, parts, *self._columns) if parts else _newest(conn, asked, *self._columns)
        self.is_cut = len(self.rows) > CAP or sum(part.rows for part in parts) > CAP
        """There are more rows than these."""
        self._states: dict[str, tuple[str, bool]] | None = None
        self._counts: dict[int, Counter[str]] = {}

    def counts(self, name: str) -> Mapping[str, int]:
        """Rows by value of one facet."""
        found = self._by_column(self._columns.index(_OF_FACET[name]))
        return self._by_state(found) if name == "liveness" else found

    def _by_column(self, index: int) -> Counter[str]:
        if index not in self._counts:
            self._counts[index] = Counter(map(itemgetter(index), self.rows))
        return self._counts[index]

    def _by_state(self, found: Counter[str]) -> Mapping[str, int]:
        """Rows by the state of their service: of the many that are up only what the others leave."""
        states: Counter[str] = Counter()
        known = self._services(found)
        for service_id in known.keys() & found.keys():
            states[known[service_id][0]] += found[service_id]
        up = len(self.rows) - found.get("", 0) - states.total()
        return states + Counter(up=up)

    def numbers(self) -> dict[str, int]:
        """How many are at risk, unowned, stale, should run (SPEC 6, 3)."""
        absent = set(self._conn.execute(absent_users(self._now)).scalars())
        known = self._services(self._by_column(_WHOLE.index(c.service_id)))
        blind = {key for key, (_state, is_blind) in known.items() if is_blind}
        ill = blind | {key for key, (state, _is_blind) in known.items() if state in ILL}
        at_risk = sum(
            1
            for status, service_id, user, _group, schedule, adrift in self.rows
            if service_id in ill or adrift or status == "failed" or schedule == "should_run" or user in absent
        )
        return {
            "at_risk": 0 if self._is_gone else at_risk,
            "unowned": self._by_column(_WHOLE.index(c.user))[""],
            "stale": sum(1 for row in self.rows if row[-1] or row[1] in blind),
            "should_run": self._by_column(_WHOLE.index(c.schedule))["should_run"],
        }

    def _services(self, mine: Collection[str]) -> dict[str, tuple[str, bool]]:
        """State and blindness of the services that are not simply up; when they are few, of `mine`."""
        if self._states is None:
            own = [s.id.in_(mine)] if len(mine) <= _FEW_SERVICES else []
            others = select(s.id, s.state).where(s.state.in_(beside(["up"])), *own)
            old = select(s.id, s.state).where(s.fresh_until < self._now, *own)
            known = {row[0]: (row[1], row[1] in BLIND) for row in self._conn.execute(others).all()}
            self._states = known | {row[0]: (row[1], True) for row in self._conn.execute(old).all()}
        return self._states


def _newest(conn: Connection, asked: Asked, *columns: Column) -> Sequence[Any]:
    return of(conn).plain_rows(conn, task_plan.newest(asked, CAP, *columns).limit(CAP + 1))


def _of_each(conn: Connection, parts: Sequence[Part], *columns: Column) -> list[Any]:
    """Of alternatives that are too many together each gives its share, so that none hides the others."""
    total = sum(part.rows for part in parts)
    rows: list[Any] = []
    for index, part in enumerate(parts):
        share = CAP + 1 if total <= CAP else -(-(CAP + len(parts)) * part.rows // total)
        rows += of(conn).plain_rows(conn, alone(part, [c.gone_at.is_(None)], parts[:index], *columns).limit(share))
    return rows

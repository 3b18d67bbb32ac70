"""The filters of the task list as conditions over columns, and the indexes that lead to their rows.

The states of services and the absence of people are joined, never copied into tasks (DESIGN 4). SPEC 3 (stale), 6 (at risk).
"""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, not_, or_, select, true, union

from taskdash.model.instants import Instant
from taskdash.model.records import State
from taskdash.rules.risk import BLIND, ILL
from taskdash.store import counters, hot, search
from taskdash.store.elements import contains, one_of
from taskdash.store.grams import words
from taskdash.store.tables import BY_PK, services, tasks, users
from taskdash.store.task_filters import NONE, Filters, Visible

c, s = tasks.c, services.c
Row = ColumnElement[bool]
GUESS = 0.1
"""The share of rows that pass a filter of which nothing is known."""
MOST_COUNTED = 20_000
"""A rare mark is counted up to here."""
NEWEST = 15_000
"""A text too short for the search index is sought among so many newest tasks (STORE.md)."""


class Lead(Struct, frozen=True):
    """An index that finds the rows of `where` by itself; `order`: the column in whose order it gives them."""

    index: str
    where: Row
    order: str = ""


class Part(Struct, frozen=True):
    """One alternative of stale, at risk or visible: the test of a row, the index that finds them, and about how many."""

    where: Row
    index: str
    rows: int

    @property
    def pks(self) -> Select[tuple[int]]:
        """The rows of this alternative alone."""
        return by_index(select(c.pk).where(self.where, c.gone_at.is_(None)), self.index)


class Term(Struct, frozen=True):
    """One filter: the test of a row met on the way, and the ways to its rows."""

    where: Row
    rows: int | None = None
    """About how many rows pass; None: unknown."""
    leads: tuple[Lead, ...] = ()
    parts: tuple[Part, ...] = ()
    """Its alternatives, when it has them: each leads to some of its rows."""
    name: str = ""
    reads_text: bool = False
    """The test needs the row of the table, no index has its columns."""
    is_partial: bool = False
    """Only the newest tasks are looked at."""


def by_index(query: Select[Any], index: str) -> Select[Any]:
    """The query, entered by this index ("": by pk): SQLite has no statistics, our counters have."""
    return query.with_hint(tasks, index or BY_PK)


def terms(conn: Connection, wanted: Filters, now: Instant) -> list[Term]:
    """One term a filter that is set; the caller adds `is_listed`."""
    found = [*_of_columns(conn, wanted), *_of_services(conn, wanted, now)]
    if wanted.schedule == ("should_run",):
        found.append(should_run(conn))
    elif wanted.schedule:
        found.append(Term(c.schedule.in_(wanted.schedule)))
    if wanted.q.strip():
        fewest = min((term.rows for term in found if term.leads and term.rows is not None), default=None)
        found.append(_text(conn, wanted, fewest))
    if wanted.visible_to is not None:
        found.append(_visible(conn, wanted.visible_to))
    return found


def failed(conn: Connection) -> Term:
    """Failed tasks; their own index gives them by id."""
    leads = (Lead("tasks_status", IS_FAILED, "updated_at"), Lead("tasks_failed", IS_FAILED, "id"))
    return Term(IS_FAILED, counters.of_status(conn, ["failed"]), leads, name="status")


def unowned(conn: Connection) -> Term:
    """Tasks that nobody holds; their own index gives them by id."""
    leads = (Lead("tasks_user", IS_UNOWNED, "updated_at"), Lead("tasks_unowned", IS_UNOWNED, "id"))
    return Term(IS_UNOWNED, counters.count(conn, "user", [""]), leads, name="user")


def should_run(conn: Connection) -> Term:
    """Tasks that should run and do not."""
    return Term(SHOULD_RUN, _counted(conn, _COUNT_SHOULD_RUN), (Lead("tasks_should_run", SHOULD_RUN, "id"),))


def adrift(conn: Connection) -> Term:
    """Tasks whose connection is gone."""
    return Term(IS_ADRIFT, _counted(conn, _COUNT_ADRIFT), (Lead("tasks_adrift", IS_ADRIFT, "id"),))


def on_services(conn: Connection, condition: Row) -> Term:
    """Tasks of the services of which `condition` is true."""
    part = _service_part(conn, condition)
    return Term(part.where, part.rows, (Lead("tasks_service", part.where),))


def held_by_absent(conn: Connection, now: Instant) -> Term:
    """Tasks of people who are disabled or away."""
    part = _absent_part(conn, now)
    return Term(part.where, part.rows, (Lead("tasks_user", part.where),))


def any_of(found: Sequence[Term]) -> Term:
    """What passes one of these terms; none of them is counted again."""
    return _either([Part(term.where, term.leads[-1].index, term.rows or 0) for term in found], True)


def _visible(conn: Connection, who: Visible) -> Term:
    groups = ["", *who.groups]
    shared = Part(c.group_id.in_(groups), "tasks_group", counters.count(conn, "group", groups))
    own = Part(c.user == who.user, "tasks_user", counters.count(conn, "user", [who.user]))
    return _either([shared, own], True)


def expected(conn: Connection, wanted: Filters, found: Sequence[Term], total: int) -> float:
    """About how many rows pass all filters: pairs with status are known, the rest is taken as independent."""
    passing, known = float(total), False
    for kind, values in (("user", wanted.user), ("group", wanted.group)):
        if values and wanted.status and not known:
            passing, known = float(counters.count(conn, kind, _plain(values), wanted.status)), True
            found = [term for term in found if term.name not in {"status", kind}]
    for term in found:
        passing *= GUESS if term.rows is None else min(1.0, term.rows / total)
    return passing


def is_listed(wanted: Filters) -> Row:
    """Gone tasks are hidden, or asked for alone."""
    return c.gone_at.is_not(None) if wanted.gone else c.gone_at.is_(None)


def _plain(values: tuple[str, ...]) -> list[str]:
    return ["" if value == NONE else value for value in values]


def _of_columns(conn: Connection, wanted: Filters) -> Iterator[Term]:
    if wanted.status == ("failed",):
        yield failed(conn)
    elif wanted.status:
        yield _column(c.status, "status", wanted.status, counters.of_status(conn, wanted.status))
    if wanted.user == (NONE,):
        yield unowned(conn)
    elif wanted.user:
        yield _column(c.user, "user", wanted.user, counters.count(conn, "user", _plain(wanted.user)))
    if wanted.group:
        yield _column(c.group_id, "group", wanted.group, counters.count(conn, "group", _plain(wanted.group)))
    if wanted.service:
        values = _plain(wanted.service)
        total = int(conn.execute(select(func.coalesce(func.sum(s.task_total), 0)).where(s.id.in_(values))).scalar_one())
        unserved = counters.total(conn) - counters.served(conn) if "" in values else 0
        yield _column(c.service_id, "service", wanted.service, total + unserved)


def _column(column: ColumnElement[str], name: str, wanted: tuple[str, ...], rows: int | None) -> Term:
    values = _plain(wanted)
    where: Row = column == values[0] if len(values) == 1 else column.in_(values)
    order = ("id" if name == "service" else "updated_at") if len(values) == 1 else ""
    return Term(where, rows, (Lead(f"tasks_{name}", where, order),), name=name)


def _of_services(conn: Connection, wanted: Filters, now: Instant) -> Iterator[Term]:
    if wanted.liveness:
        yield _liveness(conn, wanted.liveness)
    if wanted.stale is not None:
        yield _either(_stale(conn, now), wanted.stale)
    if wanted.at_risk is not None and wanted.gone:
        if wanted.at_risk:
            yield Term(c.gone_at.is_(None))  # nothing: a gone task has no risk
    elif wanted.at_risk is not None and not _is_at_risk_anyway(wanted):
        yield _either(risk_parts(conn, wanted, now), wanted.at_risk)


def _is_at_risk_anyway(wanted: Filters) -> bool:
    """Another filter lets only tasks at risk pass."""
    is_risk = wanted.stale or wanted.schedule == ("should_run",) or wanted.status == ("failed",)
    return bool(wanted.at_risk and is_risk)


def _liveness(conn: Connection, wanted: tuple[str, ...]) -> Term:
    states = _states(wanted)
    inside = _in_states(states)
    if NONE in wanted:
        return Term(or_(inside, c.service_id == ""), name="liveness")
    lead = Lead("tasks_service", c.service_id.in_(select(s.id).where(s.state.in_(states))))
    rows = _tasks_of(conn, states)
    is_rare = 2 * rows < counters.total(conn)  # else the services alone are more than the rows that a walk meets
    return Term(inside, rows, (lead,) if is_rare else (), name="liveness")


def _states(liveness: Sequence[str]) -> list[str]:
    return [state for state in liveness if state != NONE]


def _in_states(states: list[str]) -> Row:
    """Nearly all services are up, so that is tested by the few that are not."""
    if "up" not in states:
        return c.service_id.in_(select(s.id).where(s.state.in_(states)))
    return and_(c.service_id != "", c.service_id.not_in(select(s.id).where(s.state.in_(beside(states)))))


def beside(states: Sequence[str]) -> list[str]:
    """The other states, by name: all but a few as a range is a walk over most services."""
    return sorted({*get_args(State)} - {*states})


def _tasks_of(conn: Connection, states: list[str]) -> int:
    """Tasks of the services in these states; of `up`, nearly all, by what the others leave."""
    total = select(func.coalesce(func.sum(s.task_total), 0))
    if "up" not in states:
        return int(conn.execute(total.where(s.state.in_(states))).scalar_one())
    others = int(conn.execute(total.where(s.state.in_(beside(states)))).scalar_one())
    return max(0, counters.served(conn) - others)


def is_blind(now: Instant) -> Row:
    """Services of which nobody can tell how their tasks do (SPEC 3, stale)."""
    return or_(s.state.in_(sorted(BLIND)), s.fresh_until < now)


# As the partial indexes say it: a parameter would not prove that they hold the rows.
IS_ADRIFT: Row = c.adrift.is_(True)
IS_FAILED: Row = c.status == literal_column("'failed'")
IS_UNOWNED: Row = c.user == literal_column("''")
SHOULD_RUN: Row = c.schedule == literal_column("'should_run'")


def _counting(condition: Row, index: str) -> Select[Any]:
    """Rows that have an index of their own are counted by it, as far as it matters."""
    some = Part(condition, index, 0).pks.limit(literal_column(str(MOST_COUNTED))).offset(literal_column("0")).subquery()
    return select(func.count()).select_from(some)


_COUNT_SHOULD_RUN = _counting(SHOULD_RUN, "tasks_should_run")
_COUNT_ADRIFT = _counting(IS_ADRIFT, "tasks_adrift")


def _counted(conn: Connection, counting: Select[Any]) -> int:
    return int(hot.rows(conn, counting)[0][0])


def _service_part(conn: Connection, condition: Row) -> Part:
    rows = conn.execute(select(func.coalesce(func.sum(s.task_total), 0)).where(condition)).scalar_one()
    return Part(c.service_id.in_(select(s.id).where(condition)), "tasks_service", int(rows))


def _absent_part(conn: Connection, now: Instant) -> Part:
    names = list(conn.execute(absent_users(now)).scalars())
    return Part(c.user.in_(absent_users(now)), "tasks_user", counters.count(conn, "user", names) if names else 0)


def absent_users(now: Instant) -> Select[Any]:
    """Names of those who are disabled or away."""
    return select(users.c.name).where(or_(users.c.disabled, users.c.away_until > now))


def _stale(conn: Connection, now: Instant) -> list[Part]:
    adrift_ = Part(IS_ADRIFT, "tasks_adrift", _counted(conn, _COUNT_ADRIFT))
    return [adrift_, _service_part(conn, is_blind(now))]


def risk_parts(conn: Connection, wanted: Filters, now: Instant) -> list[Part]:
    """The alternatives of `at risk` (SPEC 6), the cheapest test first; `rules.risk` is their sum for one task."""
    held = [] if wanted.user == (NONE,) else [_absent_part(conn, now)]
    return [
        Part(IS_FAILED, "tasks_failed", counters.of_status(conn, ["failed"])),
        Part(SHOULD_RUN, "tasks_should_run", _counted(conn, _COUNT_SHOULD_RUN)),
        Part(IS_ADRIFT, "tasks_adrift", _counted(conn, _COUNT_ADRIFT)),
        *held,
        on_ill_services(conn, now, wanted.liveness),
    ]


def on_ill_services(conn: Connection, now: Instant, liveness: Sequence[str] = ()) -> Part:
    """Tasks that their service alone puts at risk; of a list of some states only, only such services are looked at."""
    ill, old = ILL | BLIND, s.fresh_until < now
    if not liveness:
        return _service_part(conn, or_(s.state.in_(sorted(ill)), old))
    some = sorted(ill & {*liveness})
    old = and_(old, s.state.not_in(beside(_states(liveness))))  # not by name: nearly all services are up, and few are old
    return _service_part(conn, or_(s.state.in_(some), old) if some else old)


def _either(parts: list[Part], wanted: bool) -> Term:
    where = or_(*(part.where for part in parts))
    if not wanted:
        return Term(not_(where))
    some = [part for part in parts if part.rows]
    lead = Lead("", c.pk.in_(union(*(part.pks for part in some or parts[:1]))))
    return Term(where, sum(part.rows for part in some), (lead,), tuple(some))


def _text(conn: Connection, wanted: Filters, fewest: int | None) -> Term:
    """`fewest`: so many rows pass another filter; when they are few, a short text is sought in all of them."""
    where = and_(true(), *(_holds(word) for word in words(wanted.q)))
    if search.is_short(wanted.q):
        oldest = select(c.updated_at).where(is_listed(wanted)).order_by(c.updated_at.desc()).offset(NEWEST).limit(1)
        limit = conn.execute(oldest).scalar() if fewest is None or fewest > NEWEST else None
        if limit is None:
            return Term(where, reads_text=True)
        lead = Lead("tasks_updated", c.updated_at >= limit, "updated_at")
        return Term(and_(c.updated_at >= limit, where), NEWEST, (lead,), reads_text=True, is_partial=True)
    found = search.candidates(conn, wanted.q)
    if found is None:
        return Term(where, reads_text=True)
    return Term(where, len(found), (Lead("", one_of(c.pk, found)),), reads_text=True)


def _holds(word: str) -> Row:
    return or_(*(contains(column, word) for column in (c.name, c.description, c.id)))

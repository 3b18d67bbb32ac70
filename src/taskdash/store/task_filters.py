"""What a caller wants of the task list, as conditions over columns; each also as an index that finds its rows first.

A `Term` is one filter: `where` tests a row met on the way, `index` (when there is one) leads to about `rows` rows by itself.
The states of services and the absence of people are joined, never copied into tasks (DESIGN 4). SPEC 3 (stale), 6 (at risk).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, not_, or_, select, true, union

from taskdash.model.instants import Instant
from taskdash.rules.risk import BLIND, ILL
from taskdash.store import counters, search, sqlite
from taskdash.store.grams import words
from taskdash.store.tables import services, tasks, users

c, s = tasks.c, services.c
NONE = "none"
"""As user, group, service or liveness: those without one."""
Row = ColumnElement[bool]
GUESS = 0.1
"""The share of rows that pass a filter of which nothing is known."""
NEWEST = 15_000
"""A text too short for the search index is sought among so many newest tasks (STORE.md)."""


class Visible(Struct, frozen=True):
    """Only the tasks of these groups, without group, or of this user (SPEC 6, access.visibility)."""

    user: str
    groups: tuple[str, ...]


class Filters(Struct, frozen=True, kw_only=True):
    """What is wanted; empty or None: no matter. Several values of one filter are alternatives."""

    status: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    liveness: tuple[str, ...] = ()
    schedule: tuple[str, ...] = ()
    q: str = ""
    stale: bool | None = None
    at_risk: bool | None = None
    gone: bool = False
    visible_to: Visible | None = None


class Term(Struct, frozen=True):
    """One filter. `column`: the index's first column, for an ordered walk when there is a single value."""

    where: Row
    rows: int | None = None
    """About how many rows pass; None: unknown."""
    index: str = ""
    lead: Row | None = None
    """The condition by which the index is entered; None: it cannot lead."""
    is_single: bool = False
    least: int = 0
    """At least so many rows pass."""


def terms(conn: Connection, wanted: Filters, now: Instant) -> list[Term]:
    """One term a filter that is set; the caller adds `gone`."""
    found = [*_of_columns(conn, wanted), *_of_services(conn, wanted, now)]
    if wanted.schedule == ("should_run",):
        few = _few(conn, "tasks_should_run", SHOULD_RUN)
        found.append(Term(few.where, few.rows, "tasks_should_run", few.where))
    elif wanted.schedule:
        found.append(Term(c.schedule.in_(wanted.schedule)))
    if wanted.q.strip():
        found.append(_text(conn, wanted))
    if wanted.visible_to is not None:
        found.append(_visible(conn, wanted.visible_to))
    return found


def _visible(conn: Connection, who: Visible) -> Term:
    groups = ["", *who.groups]
    own, shared = c.user == who.user, c.group_id.in_(groups)
    parts = [
        Part(own, _pks("tasks_user", own), counters.count(conn, "user", [who.user])),
        Part(shared, _pks("tasks_group", shared), counters.count(conn, "group", groups)),
    ]
    return _either(parts, True)


def expected(conn: Connection, wanted: Filters, found: Sequence[Term], total: int) -> float:
    """About how many rows pass all filters: pairs with status are known, the rest is taken as independent."""
    passing, known = float(total), False
    for kind, values in (("user", wanted.user), ("group", wanted.group)):
        if values and wanted.status and not known:
            passing, known = float(counters.count(conn, kind, _plain(values), wanted.status)), True
            spared = {id(term) for term in found if term.index in {"tasks_status", f"tasks_{kind}"}}
            found = [term for term in found if id(term) not in spared]
    for term in found:
        passing *= GUESS if term.rows is None else min(1.0, term.rows / total)
    return passing


def is_listed(wanted: Filters) -> Row:
    """Gone tasks are hidden, or asked for alone."""
    return c.gone_at.is_not(None) if wanted.gone else c.gone_at.is_(None)


def _plain(values: tuple[str, ...]) -> list[str]:
    return ["" if value == NONE else value for value in values]


def _of_columns(conn: Connection, wanted: Filters) -> Iterator[Term]:
    if wanted.status:
        yield _column(c.status, "tasks_status", list(wanted.status), counters.of_status(conn, wanted.status))
    for column, index, kind, values in (
        (c.user, "tasks_user", "user", wanted.user),
        (c.group_id, "tasks_group", "group", wanted.group),
    ):
        if values:
            yield _column(column, index, _plain(values), counters.count(conn, kind, _plain(values)))
    if wanted.service:
        values_ = _plain(wanted.service)
        total = conn.execute(select(func.coalesce(func.sum(s.task_total), 0)).where(s.id.in_(values_))).scalar_one()
        yield _column(c.service_id, "tasks_service", values_, None if "" in values_ else int(total))


def _column(column: ColumnElement[str], index: str, values: list[str], rows: int | None) -> Term:
    where = column == values[0] if len(values) == 1 else column.in_(values)
    return Term(where, rows, index, where, is_single=len(values) == 1)


def _of_services(conn: Connection, wanted: Filters, now: Instant) -> Iterator[Term]:
    if wanted.liveness:
        yield _liveness(conn, wanted.liveness)
    if wanted.stale is not None:
        yield _either(_stale(conn, now), wanted.stale)
    if wanted.at_risk is not None:
        yield _either(_risks(conn, now), wanted.at_risk)


def _liveness(conn: Connection, wanted: tuple[str, ...]) -> Term:
    states = [state for state in wanted if state != NONE]
    inside = _in_states(states)
    if NONE in wanted:
        return Term(or_(inside, c.service_id == ""))
    return Term(inside, _tasks_of(conn, states), "tasks_service", c.service_id.in_(select(s.id).where(s.state.in_(states))))


def _in_states(states: list[str]) -> Row:
    """Nearly all services are up, so that is tested by the few that are not."""
    if "up" not in states:
        return c.service_id.in_(select(s.id).where(s.state.in_(states)))
    others = select(s.id).where(or_(s.state < "up", s.state > "up"), s.state.not_in(states))
    return and_(c.service_id != "", c.service_id.not_in(others))


def _tasks_of(conn: Connection, states: list[str]) -> int:
    """Tasks of the services in these states; of `up`, nearly all, by what the others leave."""
    total = select(func.coalesce(func.sum(s.task_total), 0))
    if "up" not in states:
        return int(conn.execute(total.where(s.state.in_(states))).scalar_one())
    others = int(conn.execute(total.where(or_(s.state < "up", s.state > "up"), s.state.not_in(states))).scalar_one())
    return max(0, counters.total(conn) - others)


def is_blind(now: Instant) -> Row:
    """Services of which nobody can tell how their tasks do (SPEC 3, stale)."""
    return or_(s.state.in_(sorted(BLIND)), s.fresh_until < now)


class Part(Struct, frozen=True):
    """One alternative of stale or at risk: the test of a row, the query of its pks by an index, and about how many."""

    where: Row
    pks: Select[tuple[int]]
    rows: int


IS_ADRIFT: Row = c.adrift.is_(True)
SHOULD_RUN: Row = c.schedule == literal_column("'should_run'")  # as the partial index says it: a parameter would not prove it


def _pks(index: str, condition: Row) -> Select[tuple[int]]:
    query = select(c.pk).where(condition, c.gone_at.is_(None))
    return query.with_hint(tasks, f"INDEXED BY {index}", "sqlite")


def _few(conn: Connection, index: str, condition: Row) -> Part:
    """Rows that have an index of their own are counted by it, as far as it matters."""
    pks = _pks(index, condition)
    rows = conn.execute(select(func.count()).select_from(pks.limit(search.RARE + 1).subquery())).scalar_one()
    return Part(condition, pks, int(rows))


def _service_part(conn: Connection, condition: Row) -> Part:
    inside = c.service_id.in_(select(s.id).where(condition))
    rows = conn.execute(select(func.coalesce(func.sum(s.task_total), 0)).where(condition)).scalar_one()
    return Part(inside, _pks("tasks_service", inside), int(rows))


def absent_users(now: Instant) -> Select[Any]:
    """Names of those who are disabled or away."""
    return select(users.c.name).where(or_(users.c.disabled, users.c.away_until > now))


def _stale(conn: Connection, now: Instant) -> list[Part]:
    return [_service_part(conn, is_blind(now)), _few(conn, "tasks_adrift", IS_ADRIFT)]


def _risks(conn: Connection, now: Instant) -> list[Part]:
    """The alternatives of `at risk` (SPEC 6); `rules.risk` is their sum for one task."""
    failed, absent = c.status == "failed", c.user.in_(absent_users(now))
    held = counters.count(conn, "user", [row[0] for row in conn.execute(absent_users(now))])
    return [
        _service_part(conn, or_(s.state.in_(sorted(ILL | BLIND)), s.fresh_until < now)),
        _few(conn, "tasks_adrift", IS_ADRIFT),
        Part(failed, _pks("tasks_status", failed), counters.of_status(conn, ["failed"])),
        _few(conn, "tasks_should_run", SHOULD_RUN),
        Part(absent, _pks("tasks_user", absent), held),
    ]


def _either(parts: list[Part], wanted: bool) -> Term:
    where = or_(*(part.where for part in parts))
    if not wanted:
        return Term(not_(where))
    some = [part for part in parts if part.rows]
    lead = c.pk.in_(union(*(part.pks for part in some or parts[:1])))
    return Term(where, sum(part.rows for part in some), "", lead, least=max(part.rows for part in parts))


def _text(conn: Connection, wanted: Filters) -> Term:
    where = and_(true(), *(_holds(word) for word in words(wanted.q)))
    if search.is_short(wanted.q):
        oldest = select(c.updated_at).where(is_listed(wanted)).order_by(c.updated_at.desc()).offset(NEWEST).limit(1)
        limit = conn.execute(oldest).scalar()
        return Term(where if limit is None else and_(where, c.updated_at >= limit))
    found = search.candidates(conn, wanted.q)
    return Term(where) if found is None else Term(where, len(found), "", c.pk.in_(found))


def _holds(word: str) -> Row:
    return or_(*(sqlite.contains(column, word) for column in (c.id, c.name, c.description)))

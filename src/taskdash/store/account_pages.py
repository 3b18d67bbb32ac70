"""Accounts, groups and tokens a page at a time, for those who run TaskDash. No decisions."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, case, func, not_, or_, select

from taskdash.model.instants import Instant
from taskdash.model.records import Token, User
from taskdash.store.accounts import Group
from taskdash.store.elements import contains
from taskdash.store.rows import Shape, to_json
from taskdash.store.service_tasks import MOST
from taskdash.store.tables import groups, task_counts, tasks, tokens, users
from taskdash.store.task_filters import Filters
from taskdash.store.task_page import alone
from taskdash.store.task_terms import absent_users, by_index, is_listed, risk_parts

u, g, t, c, n = users.c, groups.c, tokens.c, tasks.c, task_counts.c
_USERS = Shape(User, users, json=("groups",))
_GROUPS = Shape(Group, groups)
_TOKENS = Shape(Token, tokens, json=("scopes",))


class Presence(Struct, frozen=True):
    """How many accounts there are, and which of them are on duty, away, disabled."""

    total: int
    on_duty: int
    away: int
    disabled: int


def presence(conn: Connection, now: Instant, q: str = "") -> Presence:
    """Of the accounts that `q` finds."""
    is_away = u.disabled.is_(False) & u.away_until.is_not(None) & (u.away_until > now)
    counts = (func.count(), func.sum(case((is_away, 1), else_=0)), func.sum(case((u.disabled.is_(True), 1), else_=0)))
    total, away, disabled = (int(n or 0) for n in conn.execute(select(*counts).where(*_named(u.name, q))).one())
    return Presence(total, total - away - disabled, away, disabled)


def count_of_users(conn: Connection) -> int:
    """How many accounts there are."""
    return _count(conn, users, ())


def users_after(conn: Connection, after: str, limit: int, q: str = "") -> list[User]:
    """By name, after `after`."""
    query = select(*_USERS.columns).where(u.name > after, *_named(u.name, q)).order_by(u.name).limit(limit)
    return _USERS.records(conn, query)


class Holding(NamedTuple):
    """How many tasks somebody holds, and how many of them are at risk; tasks that are gone are not counted."""

    total: int
    at_risk: int


def holdings(conn: Connection, names: Sequence[str], now: Instant) -> dict[str, Holding]:
    """By name: the numbers of the lists behind their links.

    Counters know what each holds and how much of it failed; all that somebody absent holds is at risk.
    """
    held, failed = _counted(conn, names), _counted(conn, names, "failed")
    absent = set(conn.execute(absent_users(now).where(u.name.in_(list(names)))).scalars())
    there = {name: total for name, total in held.items() if total and name not in absent}
    others = _at_risk_besides(conn, there, now)
    return {
        name: Holding(total := held.get(name, 0), total if name in absent else failed.get(name, 0) + others[name])
        for name in names
    }


def _counted(conn: Connection, names: Sequence[str], *statuses: str) -> dict[str, int]:
    query = select(n.value, func.sum(n.n)).where(n.kind == "user", n.value.in_(list(names))).group_by(n.value)
    rows = conn.execute(query.where(n.status.in_(statuses)) if statuses else query)
    return {row[0]: int(row[1]) for row in rows}


def _at_risk_besides(conn: Connection, there: dict[str, int], now: Instant) -> Counter[str]:
    """At risk by something else than having failed: of those that each holds, or of all that something puts at risk."""
    found: Counter[str] = Counter()
    failed, *others, _absent, ill = risk_parts(conn, Filters(), now)
    parts, total = [*others, ill], sum(there.values())
    tests = [is_listed(Filters()), c.user.in_(list(there)), not_(failed.where)]
    if total <= max(MOST, sum(part.rows for part in parts)):
        risky = or_(*(part.where for part in parts))
        return Counter(_by_user(conn, by_index(select(c.user).where(*tests, risky), "tasks_user"))) if there else found
    for index, part in enumerate(parts):
        if part.rows:
            found.update(_by_user(conn, alone(part, tests, parts[:index], c.user)))
    return found


def _by_user(conn: Connection, query: Select[Any]) -> dict[str, int]:
    rows = query.with_only_columns(c.user, func.count()).group_by(c.user)
    return {row[0]: row[1] for row in conn.execute(rows)}


def groups_after(conn: Connection, after: str, limit: int, q: str = "") -> list[Group]:
    """By id, after `after`."""
    query = select(*_GROUPS.columns).where(g.id > after, *_named(g.id, q, g.name)).order_by(g.id).limit(limit)
    return _GROUPS.records(conn, query)


def count_of_groups(conn: Connection, q: str = "") -> int:
    """How many groups `q` finds."""
    return _count(conn, groups, _named(g.id, q, g.name))


def members(conn: Connection, group_ids: Sequence[str]) -> dict[str, list[User]]:
    """Who is in each of these groups, by name; the disabled are in none."""
    found: dict[str, list[User]] = {group_id: [] for group_id in group_ids}
    if found:
        named = or_(*(contains(u.groups, to_json(group_id)) for group_id in found))
        query = select(*_USERS.columns).where(u.disabled.is_(False), named).order_by(u.name)
        for user in _USERS.records(conn, query):
            for group_id in found.keys() & set(user.groups):
                found[group_id].append(user)
    return found


def tokens_before(conn: Connection, whose: str, before_id: str, limit: int, *, revoked: bool | None = False) -> list[Token]:
    """Newest first, before the one of that id; of everybody when `whose` is empty. `revoked` None: these and those."""
    query = select(*_TOKENS.columns).where(*_tokens(whose, revoked)).order_by(t.pk.desc()).limit(limit)
    if before_id:
        query = query.where(t.pk < select(t.pk).where(t.id == before_id).scalar_subquery())
    return _TOKENS.records(conn, query)


def count_of_tokens(conn: Connection, whose: str = "", *, revoked: bool = False) -> int:
    """How many there are."""
    return _count(conn, tokens, _tokens(whose, revoked))


def _tokens(whose: str, revoked: bool | None) -> list[ColumnElement[bool]]:
    found = [t.user == whose] if whose else []
    if revoked is not None:
        found.append(t.revoked_at.is_not(None) if revoked else t.revoked_at.is_(None))
    return found


def _named(column: ColumnElement[str], q: str, *others: ColumnElement[str]) -> list[ColumnElement[bool]]:
    return [or_(*(contains(each, word) for each in (column, *others))) for word in q.split()]


def _count(conn: Connection, table: Any, conditions: Sequence[ColumnElement[bool]]) -> int:
    return int(conn.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one())

"""Accounts, groups and tokens a page at a time, for those who run TaskDash. No decisions."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, case, func, or_, select

from taskdash.model.instants import Instant
from taskdash.model.records import Token, User
from taskdash.store import sqlite
from taskdash.store.accounts import Group
from taskdash.store.rows import Shape, to_json
from taskdash.store.tables import groups, tokens, users

u, g, t = users.c, groups.c, tokens.c
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
        named = or_(*(sqlite.contains(u.groups, to_json(group_id)) for group_id in found))
        query = select(*_USERS.columns).where(u.disabled.is_(False), named).order_by(u.name)
        for user in _USERS.records(conn, query):
            for group_id in found.keys() & set(user.groups):
                found[group_id].append(user)
    return found


def tokens_before(conn: Connection, whose: str, before_id: str, limit: int, *, revoked: bool = False) -> list[Token]:
    """Newest first, before the one of that id; of everybody when `whose` is empty."""
    query = select(*_TOKENS.columns).where(*_tokens(whose, revoked)).order_by(t.pk.desc()).limit(limit)
    if before_id:
        query = query.where(t.pk < select(t.pk).where(t.id == before_id).scalar_subquery())
    return _TOKENS.records(conn, query)


def count_of_tokens(conn: Connection, whose: str = "", *, revoked: bool = False) -> int:
    """How many there are."""
    return _count(conn, tokens, _tokens(whose, revoked))


def _tokens(whose: str, revoked: bool) -> list[ColumnElement[bool]]:
    state = t.revoked_at.is_not(None) if revoked else t.revoked_at.is_(None)
    return [state, t.user == whose] if whose else [state]


def _named(column: ColumnElement[str], q: str, *others: ColumnElement[str]) -> list[ColumnElement[bool]]:
    return [or_(*(sqlite.contains(each, word) for each in (column, *others))) for word in q.split()]


def _count(conn: Connection, table: Any, conditions: Sequence[ColumnElement[bool]]) -> int:
    return int(conn.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one())

"""People and how many tasks each holds, for choosing somebody: one query over the accounts and the counters. No decisions.

Law: whoever is there comes before whoever is away, and of each the members of the wanted groups first, then who holds least.
Viewers hold nothing and disabled accounts cannot sign in, so neither is here.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from taskdash.model.instants import Instant
from taskdash.model.records import User
from taskdash.store.elements import contains
from taskdash.store.rows import Shape, to_json
from taskdash.store.tables import task_counts, tasks, users

MOST = 50
u, n, t = users.c, task_counts.c, tasks.c
_USERS = Shape(User, users, json=("groups",))
_groups = msgspec.json.Decoder(tuple[str, ...])


class Load(Struct, frozen=True):
    """Somebody, and how many tasks they hold."""

    user: User
    held: int


class Held(Struct, frozen=True):
    """What one person holds: how many tasks of each group, and when how many of them end."""

    groups: dict[str, int]
    ends: dict[Instant, int]

    @property
    def total(self) -> int:
        """How many tasks."""
        return sum(self.groups.values())


def people(
    conn: Connection,
    now: Instant,
    *,
    text: str = "",
    groups: Sequence[str] = (),
    within: Sequence[str] | None = None,
    limit: int = MOST,
) -> list[Load]:
    """Those whose name or group holds `text`, at most `limit`; members of `groups` first. `within`: only of these groups."""
    named = [] if within is None else [_in_any(within)]
    named += [or_(contains(u.name, word), contains(u.groups, word)) for word in text.split()]
    order = (_is_away(now), case((_in_any(groups), 0), else_=1), _held(), u.name)
    return _loads(conn, _counted().where(*named).order_by(*order).limit(limit))


def on_duty(conn: Connection, now: Instant, group: str, limit: int = MOST) -> list[Load]:
    """Who of the group is there, who holds least first."""
    query = _counted().where(_in_any([group]), _is_away(now) == 0).order_by(_held(), u.name).limit(limit)
    return _loads(conn, query)


def named(conn: Connection, names: Iterable[str]) -> list[Load]:
    """Those of these names."""
    return _loads(conn, _counted().where(u.name.in_(list(names))))


def members(conn: Connection, now: Instant) -> dict[str, tuple[int, int]]:
    """By group: how many may claim in it, and how many of them are there."""
    found: dict[str, tuple[int, int]] = {}
    for groups, away_until in conn.execute(select(u.groups, u.away_until).where(*_WORK)):
        is_there = away_until is None or away_until <= now
        for group in _groups.decode(groups):
            all_of_them, there = found.get(group, (0, 0))
            found[group] = (all_of_them + 1, there + is_there)
    return found


def held(conn: Connection, user: str) -> Held:
    """What `user` holds now."""
    mine = (t.user == user, t.gone_at.is_(None))
    of_groups = conn.execute(select(t.group_id, func.count()).where(*mine).group_by(t.group_id).order_by(t.group_id))
    ends = conn.execute(select(t.until, func.count()).where(*mine, t.until.is_not(None)).group_by(t.until).order_by(t.until))
    return Held({row[0]: row[1] for row in of_groups}, {row[0]: row[1] for row in ends})


_WORK = (u.role != "viewer", u.disabled.is_(False))


def _held() -> ColumnElement[int]:
    return func.coalesce(func.sum(n.n), 0)


def _counted() -> Select[Any]:
    joined = users.outerjoin(task_counts, and_(n.kind == "user", n.value == u.name))
    return select(*_USERS.columns, _held().label("held")).select_from(joined).where(*_WORK).group_by(u.pk)


def _is_away(now: Instant) -> ColumnElement[int]:
    return case((and_(u.away_until.is_not(None), u.away_until > now), 1), else_=0)


def _in_any(groups: Sequence[str]) -> ColumnElement[bool]:
    """Byte for byte: LIKE would take capitals for small letters."""
    return or_(False, *(func.replace(u.groups, to_json(group), "") != u.groups for group in groups))


def _loads(conn: Connection, query: Select[Any]) -> list[Load]:
    rows = conn.execute(query).mappings()
    return [Load(_USERS.record_of({c.name: row[c.name] for c in _USERS.columns}), int(row["held"])) for row in rows]

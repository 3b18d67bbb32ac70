"""Users, groups, tokens, sessions. No decisions; of cookies and tokens only the SHA-256 is here (RELIABILITY R140, R148)."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update

from taskdash.model.instants import Instant
from taskdash.model.records import Session, Token, User
from taskdash.store.rows import Shape
from taskdash.store.tables import groups, sessions, store_facts, tokens, users

R = TypeVar("R")
_USERS = Shape(User, users, json=("groups",))
_TOKENS = Shape(Token, tokens, json=("scopes",))
_SESSIONS = Shape(Session, sessions)


class Group(Struct, frozen=True, kw_only=True):
    """A group by its id; members are kept by their users."""

    id: str
    name: str = ""
    created_at: Instant = 0


_GROUPS = Shape(Group, groups)


def user(conn: Connection, name: str) -> User | None:
    """The account of that name, byte for byte."""
    return _first(_USERS.records(conn, select(*_USERS.columns).where(users.c.name == name)))


def all_users(conn: Connection) -> list[User]:
    """Every account, by name."""
    return _USERS.records(conn, select(*_USERS.columns).order_by(users.c.name))


def is_empty(conn: Connection) -> bool:
    """True while nobody can sign in at all."""
    return conn.execute(select(users.c.pk).limit(1)).first() is None


def active_admins(conn: Connection) -> int:
    """How many admins can sign in."""
    query = select(func.count()).select_from(users).where(users.c.role == "admin", users.c.disabled.is_(False))
    return int(conn.execute(query).scalar_one())


def add_user(conn: Connection, new: User) -> None:
    """A new account; its name must be free."""
    conn.execute(insert(users), [_USERS.row_of(new)])


def save_user(conn: Connection, changed: User) -> None:
    """Every column of a known account."""
    conn.execute(update(users).where(users.c.name == changed.name).values(_USERS.row_of(changed, without=("name",))))


def group(conn: Connection, group_id: str) -> Group | None:
    """The group of that id."""
    return _first(_GROUPS.records(conn, select(*_GROUPS.columns).where(groups.c.id == group_id)))


def all_groups(conn: Connection) -> list[Group]:
    """Every group, by id."""
    return _GROUPS.records(conn, select(*_GROUPS.columns).order_by(groups.c.id))


def save_group(conn: Connection, changed: Group) -> None:
    """Insert or rename a group."""
    if group(conn, changed.id):
        conn.execute(update(groups).where(groups.c.id == changed.id).values(name=changed.name))
    else:
        conn.execute(insert(groups), [_GROUPS.row_of(changed)])


def add_token(conn: Connection, new: Token, digest: str) -> None:
    """A token's record under the SHA-256 of its text."""
    conn.execute(insert(tokens), [_TOKENS.row_of(new) | {"digest": digest}])


def token_by_digest(conn: Connection, digest: str) -> Token | None:
    """The token of that SHA-256, revoked or expired or not."""
    return _first(_TOKENS.records(conn, select(*_TOKENS.columns).where(tokens.c.digest == digest)))


def token(conn: Connection, token_id: str) -> Token | None:
    """The token of that id."""
    return _first(_TOKENS.records(conn, select(*_TOKENS.columns).where(tokens.c.id == token_id)))


def tokens_of(conn: Connection, user_name: str | None = None) -> list[Token]:
    """One user's tokens, or everybody's, newest first."""
    query = select(*_TOKENS.columns).order_by(tokens.c.pk.desc())
    return _TOKENS.records(conn, query if user_name is None else query.where(tokens.c.user == user_name))


def save_token(conn: Connection, changed: Token) -> None:
    """Every column of a known token."""
    conn.execute(update(tokens).where(tokens.c.id == changed.id).values(_TOKENS.row_of(changed, without=("id",))))


def add_session(conn: Connection, new: Session, digest: str) -> None:
    """A sign-in under the SHA-256 of its cookie."""
    conn.execute(insert(sessions), [_SESSIONS.row_of(new) | {"digest": digest}])


def session_by_digest(conn: Connection, digest: str) -> Session | None:
    """The session of that SHA-256, ended by time or not."""
    return _first(_SESSIONS.records(conn, select(*_SESSIONS.columns).where(sessions.c.digest == digest)))


def sessions_of(conn: Connection, user_name: str) -> list[Session]:
    """One user's sessions, the last used first."""
    query = select(*_SESSIONS.columns).where(sessions.c.user == user_name).order_by(sessions.c.last_seen_at.desc())
    return _SESSIONS.records(conn, query)


def touch(conn: Connection, sessions_seen: Mapping[str, Instant], tokens_seen: Mapping[str, Instant]) -> None:
    """Note when sessions and tokens (by id) were last used; of what several instances saw the latest counts."""
    for session_id, at in sessions_seen.items():
        later = (sessions.c.id == session_id) & (sessions.c.last_seen_at < at)
        conn.execute(update(sessions).where(later).values(last_seen_at=at))
    for token_id, at in tokens_seen.items():
        later = (tokens.c.id == token_id) & (func.coalesce(tokens.c.last_used_at, 0) < at)
        conn.execute(update(tokens).where(later).values(last_used_at=at))


def end_session(conn: Connection, session_id: str) -> bool:
    """Remove one; False when it was not there."""
    return conn.execute(delete(sessions).where(sessions.c.id == session_id)).rowcount > 0


def end_sessions_of(conn: Connection, user_name: str) -> int:
    """Remove a user's sessions. Returns how many."""
    return conn.execute(delete(sessions).where(sessions.c.user == user_name)).rowcount


def purge_sessions(conn: Connection, idle_before: Instant, now: Instant) -> int:
    """Remove those that ended by time."""
    ended = (sessions.c.expires_at <= now) | (sessions.c.last_seen_at <= idle_before)
    return conn.execute(delete(sessions).where(ended)).rowcount


def secret(conn: Connection, name: str, new: str) -> str:
    """A secret of this store, such as the one that signs device cookies; the first who asks makes it."""
    if known := known_secret(conn, name):
        return known
    conn.execute(insert(store_facts), [{"key": f"secret {name}", "value": new}])
    return new


def known_secret(conn: Connection, name: str) -> str:
    """The same, empty when nobody has asked yet."""
    return str(conn.execute(select(store_facts.c.value).where(store_facts.c.key == f"secret {name}")).scalar() or "")


def _first(found: list[R]) -> R | None:
    return found[0] if found else None

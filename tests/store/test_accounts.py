"""Accounts, tokens and sessions over a real store."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from taskdash.actions import accounts as actions
from taskdash.actions.accounts import TokenWish, UserChange
from taskdash.errors import BadField, Conflict, Forbidden, NotFound, StoreRefused
from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, Actor, Event, Role, Session, Token, User
from taskdash.rules import secrets as forms
from taskdash.store import accounts, events
from taskdash.store.accounts import Group
from taskdash.store.database import Database
from tests.support import NOW, everything

ADMIN = Actor(type="user", id="root", channel="web", role="admin")


def _actor(name: str, role: Role = "member") -> Actor:
    return Actor(type="user", id=name, channel="web", role=role)


async def _add(db: Database, name: str, role: Role = "member", **fields: Any) -> User:
    new = User(name=name, role=role, password_hash="hash", **fields)
    return await db.write(lambda conn: actions.add_user(conn, SYSTEM, new, NOW, make_groups=True))


async def _change(db: Database, actor: Actor, name: str, **fields: Any) -> User:
    return await db.write(lambda conn: actions.change_user(conn, actor, name, UserChange(**fields), NOW))


async def _session(db: Database, user: str, session_id: str = "s1") -> None:
    session = Session(id=session_id, user=user, csrf_token="c", created_at=NOW, last_seen_at=NOW, expires_at=NOW + seconds(60))
    await db.write(lambda conn: accounts.add_session(conn, session, forms.digest(session_id)))


async def _history(db: Database) -> list[Event]:
    return await db.read(lambda conn: events.after(conn, 0))


async def test_an_account_is_stored_whole_and_its_making_told(db: Database) -> None:
    await _add(db, "ada", "lead", groups=("data", "web"))
    found = await db.read(lambda conn: accounts.user(conn, "ada"))
    assert found == User(name="ada", role="lead", groups=("data", "web"), password_hash="hash", created_at=NOW)
    assert [(e.kind, e.subject_id) for e in await _history(db)][-1] == ("user.added", "ada")


async def test_names_are_compared_byte_for_byte_and_taken_once(db: Database) -> None:
    await _add(db, "ada")
    await _add(db, "Ada")
    with pytest.raises(Conflict):
        await _add(db, "ada")


@pytest.mark.parametrize("name", ["", "a\nb", " a", "me", "none", "x" * 257, "\u202eada", ".."])
async def test_a_name_that_breaks_a_rule_is_refused(db: Database, name: str) -> None:
    with pytest.raises(BadField) as refused:
        await _add(db, name)
    assert refused.value.field == "name"


async def test_an_unknown_group_is_refused(db: Database) -> None:
    with pytest.raises(BadField, match="no group mx"):
        await db.write(lambda c: actions.add_user(c, ADMIN, User(name="ada", role="member", groups=("mx",)), NOW))


@pytest.mark.parametrize("role", ["viewer", "member", "lead"])
async def test_only_admins_change_accounts(db: Database, role: Role) -> None:
    await _add(db, "ada", role)
    ada = _actor("ada", role)
    attempts: list[Callable[[Connection], Any]] = [
        lambda conn: actions.add_user(conn, ada, User(name="bob", role="viewer"), NOW),
        lambda conn: actions.change_user(conn, ada, "ada", UserChange(role="admin"), NOW),
        lambda conn: actions.save_group(conn, ada, Group(id="g"), NOW, is_new=True),
        lambda conn: actions.create_token(conn, ada, TokenWish(user="root", name="t"), NOW),
        lambda conn: actions.change_password(conn, ada, "root", "hash", NOW),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            await db.write(attempt)


async def test_everyone_sets_their_own_absence_and_language(db: Database) -> None:
    await _add(db, "ada", "viewer")
    changed = await _change(db, _actor("ada", "viewer"), "ada", away_until=NOW + seconds(60), language="zh-CN")
    assert (changed.away_until, changed.language) == (NOW + seconds(60), "zh-CN")
    last = (await _history(db))[-1]
    assert (last.kind, last.before["language"], last.after["language"]) == ("user.changed", "", "zh-CN")


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "lead"}, {"role": "viewer", "disabled": True}])
async def test_the_last_admin_stays(db: Database, change: dict[str, Any]) -> None:
    await _add(db, "root", "admin")
    await _add(db, "sleeper", "admin", disabled=True)
    with pytest.raises(Conflict, match="last admin"):
        await _change(db, ADMIN, "root", **change)
    await _add(db, "other", "admin")
    await _change(db, ADMIN, "root", **change)


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "viewer"}, {"password_hash": "new"}])
async def test_R140_sessions_end_with_disabling_and_with_a_new_role_or_password(db: Database, change: dict[str, Any]) -> None:
    await _add(db, "ada")
    await _session(db, "ada")
    await _change(db, ADMIN, "ada", language="en")
    assert len(await db.read(lambda conn: accounts.sessions_of(conn, "ada"))) == 1
    await _change(db, ADMIN, "ada", **change)
    assert await db.read(lambda conn: accounts.sessions_of(conn, "ada")) == []


async def test_a_password_set_by_somebody_else_must_be_changed(db: Database) -> None:
    await _add(db, "ada")
    await db.write(lambda conn: actions.change_password(conn, ADMIN, "ada", "one", NOW))
    assert (await _user(db)).must_change
    await db.write(lambda conn: actions.change_password(conn, _actor("ada"), "ada", "two", NOW))
    assert not (await _user(db)).must_change
    assert "two" not in repr(await _history(db))


async def _user(db: Database) -> User:
    found = await db.read(lambda conn: accounts.user(conn, "ada"))
    assert found
    return found


async def _token(db: Database, actor: Actor, **wish: Any) -> tuple[str, Token]:
    return await db.write(lambda conn: actions.create_token(conn, actor, TokenWish(**{"name": "ci", **wish}), NOW))


async def test_R148_only_the_digest_of_a_token_is_stored(db: Database) -> None:
    await _add(db, "ada")
    text, made = await _token(db, _actor("ada"), user="ada")
    assert forms.is_token(text)
    assert await db.read(lambda conn: accounts.token_by_digest(conn, forms.digest(text))) == made
    stored = await everything(db)
    assert made.id.encode() in stored
    assert text.encode() not in stored


@pytest.mark.parametrize(
    ("scopes", "days", "expiry"),
    [
        ((), None, seconds(90 * 86_400)),
        (("read",), None, seconds(90 * 86_400)),
        (("ingest",), None, None),
        (("ingest", "read"), None, seconds(90 * 86_400)),
        (("ingest",), 7, seconds(7 * 86_400)),
        ((), 0, None),
    ],
)
async def test_R148_tokens_expire_after_90_days_but_for_ingest(
    db: Database, scopes: Any, days: int | None, expiry: int | None
) -> None:
    await _add(db, "ada", "lead")
    _text, made = await _token(db, _actor("ada", "lead"), user="ada", scopes=scopes, days=days)
    assert made.expires_at == (None if expiry is None else NOW + expiry)


async def test_R148_a_token_has_its_users_role_or_less(db: Database) -> None:
    await _add(db, "ada", "lead")
    with pytest.raises(BadField, match="role"):
        await _token(db, ADMIN, user="ada", role="admin")
    _text, made = await _token(db, ADMIN, user="ada", role="viewer")
    assert made.role == "viewer"


@pytest.mark.parametrize("days", [-1, 36_501, 2**62])
async def test_a_span_of_days_that_makes_no_sense_is_refused(db: Database, days: int) -> None:
    await _add(db, "ada")
    with pytest.raises(BadField) as refused:
        await _token(db, _actor("ada"), user="ada", days=days)
    assert refused.value.field == "days"


async def test_one_revokes_ones_own_tokens_and_knows_of_no_others(db: Database) -> None:
    await _add(db, "ada")
    await _add(db, "bob")
    _text, made = await _token(db, _actor("ada"), user="ada")
    with pytest.raises(NotFound):
        await db.write(lambda conn: actions.revoke_token(conn, _actor("bob"), made.id, NOW))
    revoked = await db.write(lambda conn: actions.revoke_token(conn, _actor("ada"), made.id, NOW + 1))
    again = await db.write(lambda conn: actions.revoke_token(conn, ADMIN, made.id, NOW + 2))
    assert revoked.revoked_at == again.revoked_at == NOW + 1
    assert [e.kind for e in await _history(db)].count("token.revoked") == 1


async def test_a_group_is_added_once_and_renamed(db: Database) -> None:
    await db.write(lambda conn: actions.save_group(conn, ADMIN, Group(id="mx", name="Mixed"), NOW, is_new=True))
    with pytest.raises(Conflict):
        await db.write(lambda conn: actions.save_group(conn, ADMIN, Group(id="mx"), NOW, is_new=True))
    with pytest.raises(NotFound):
        await db.write(lambda conn: actions.save_group(conn, ADMIN, Group(id="no"), NOW, is_new=False))
    await db.write(lambda conn: actions.save_group(conn, ADMIN, Group(id="mx", name="Maths"), NOW + 1, is_new=False))
    assert await db.read(accounts.all_groups) == [Group(id="mx", name="Maths", created_at=NOW)]


async def test_sessions_that_ended_by_time_are_removed(db: Database) -> None:
    await _add(db, "ada")
    await _session(db, "ada", "old")
    await _session(db, "ada", "used")
    await db.write(lambda conn: accounts.touch(conn, {"used": NOW + seconds(50)}, {}))
    assert await db.write(lambda conn: accounts.purge_sessions(conn, NOW + seconds(10), NOW + seconds(55))) == 1
    assert [s.id for s in await db.read(lambda conn: accounts.sessions_of(conn, "ada"))] == ["used"]


async def test_R160_what_was_done_to_accounts_cannot_be_rewritten(db: Database) -> None:
    await _add(db, "ada")
    for statement in ("UPDATE events SET actor_id = 'x'", "DELETE FROM events WHERE kind LIKE 'user.%'"):
        with pytest.raises((StoreRefused, DBAPIError)):
            await db.write(lambda conn, statement=statement: conn.exec_driver_sql(statement))
    assert [e.kind for e in await _history(db)] == ["user.added"]


async def test_R161_names_are_parameters_never_sql(db: Database) -> None:
    name = "'; DROP TABLE users; --"
    await _add(db, name)
    assert [user.name for user in await db.read(accounts.all_users)] == [name]


async def test_of_what_two_instances_saw_of_a_session_and_a_token_the_later_counts(db: Database) -> None:
    await _add(db, "ada")
    await _session(db, "ada")
    wish = TokenWish(user="ada", name="ci")
    _text, token = await db.write(lambda conn: actions.create_token(conn, SYSTEM, wish, NOW))
    for at in (NOW + seconds(20), NOW + seconds(10)):
        await db.write(lambda conn, at=at: accounts.touch(conn, {"s1": at}, {token.id: at}))
    (session,) = await db.read(lambda conn: accounts.sessions_of(conn, "ada"))
    (kept,) = await db.read(lambda conn: accounts.tokens_of(conn, "ada"))
    assert session.last_seen_at == kept.last_used_at == NOW + seconds(20)


async def test_the_first_who_asks_for_a_secret_makes_it_for_all(db: Database) -> None:
    made = [await db.write(lambda conn, new=new: accounts.secret(conn, "device", new)) for new in ("one", "two")]
    assert made == ["one", "one"]

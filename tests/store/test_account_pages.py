"""Accounts, groups, tokens and dead letters a page at a time, each number that of the list behind its link. UI 6 (Admin)."""

import random

import pytest

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import TokenWish
from taskdash.errors import Conflict
from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, DeadLetter, User
from taskdash.store import account_pages, accounts, dead_letters, intake_pages, services, task_page, tasks
from taskdash.store.accounts import Group
from taskdash.store.database import Database
from taskdash.store.task_filters import Filters
from tests.support import NOW, a_service, a_task

PEOPLE = (
    User(name="ann", role="admin"),
    User(name="bob", role="lead", groups=("pay", "mx")),
    User(name="Bobby", role="member", groups=("pay",)),
    User(name="cid", role="member", groups=("mx",), away_until=NOW + seconds(60)),
    User(name="dan", role="member", groups=("pay",), disabled=True, away_until=NOW + seconds(60)),
    User(name="eve", role="member", groups=('p"ay',), away_until=NOW - seconds(60)),
)


@pytest.fixture
async def town(db: Database) -> Database:
    dice = random.Random(7)
    ill = [a_service(id="well"), a_service(id="ill", state="down"), a_service(id="old", fresh_until=NOW - seconds(1))]
    made = [
        a_task(
            id=str(k),
            user=dice.choice(["", *(each.name for each in PEOPLE)]),
            status=dice.choice(["running", "failed", "finish"]),
            service_id=dice.choice(["", "well", "ill", "old"]),
            group_id=dice.choice(["", "pay", "mx"]),
            gone_at=dice.choice([None, None, NOW]),
        )
        for k in range(300)
    ]
    await db.write(lambda conn: [accounts.add_user(conn, person) for person in PEOPLE])
    await db.write(lambda conn: [accounts.save_group(conn, Group(id=key, name=key)) for key in ("pay", "mx", 'p"ay')])
    await db.write(lambda conn: services.save(conn, ill))
    await db.write(lambda conn: tasks.save(conn, [(None, task) for task in made]))
    return db


@pytest.mark.parametrize("most", [0, account_pages.MOST], ids=["of many", "of few"])
async def test_what_each_holds_and_has_at_risk_is_what_the_lists_count(
    town: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(account_pages, "MOST", most)
    names = [person.name for person in PEOPLE] + ["nobody"]
    found = await town.read(lambda conn: account_pages.holdings(conn, names, NOW))
    for name in names:
        held = await town.read(lambda conn, name=name: task_page.count(conn, Filters(user=(name,)), NOW))  # type: ignore[misc]
        risky = Filters(user=(name,), at_risk=True)
        at_risk = await town.read(lambda conn, risky=risky: task_page.count(conn, risky, NOW))  # type: ignore[misc]
        assert found[name] == (held, at_risk), name
    assert found["bob"].at_risk
    assert found["cid"].at_risk == found["cid"].total


async def test_who_is_there_is_counted_and_listed_by_a_part_of_the_name(town: Database) -> None:
    assert await town.read(lambda conn: account_pages.presence(conn, NOW)) == account_pages.Presence(6, 4, 1, 1)
    assert await town.read(lambda conn: account_pages.presence(conn, NOW, "BOB")) == account_pages.Presence(2, 2, 0, 0)
    found = await town.read(lambda conn: account_pages.users_after(conn, "bob", 2))
    assert [user.name for user in found] == ["cid", "dan"]
    assert await town.read(lambda conn: account_pages.users_after(conn, "", 9, "%")) == []


async def test_the_members_of_a_group_are_those_of_that_very_group_who_may_sign_in(town: Database) -> None:
    found = await town.read(lambda conn: account_pages.members(conn, ["pay", "mx", 'p"ay', "ay"]))
    assert {key: [user.name for user in those] for key, those in found.items()} == {
        "pay": ["Bobby", "bob"],
        "mx": ["bob", "cid"],
        'p"ay': ["eve"],
        "ay": [],
    }


async def test_tokens_come_newest_first_and_the_revoked_apart(town: Database) -> None:
    made = []
    for k in range(5):
        wish = TokenWish(user="bob" if k % 2 else "ann", name=f"t{k}")
        made.append(await town.write(lambda conn, wish=wish: account_actions.create_token(conn, SYSTEM, wish, NOW)[1]))  # type: ignore[misc]
    await town.write(lambda conn: account_actions.revoke_token(conn, SYSTEM, made[4].id, NOW))
    first = await town.read(lambda conn: account_pages.tokens_before(conn, "", "", 2))
    rest = await town.read(lambda conn: account_pages.tokens_before(conn, "", first[-1].id, 9))
    assert [token.name for token in (*first, *rest)] == ["t3", "t2", "t1", "t0"]
    mine = await town.read(lambda conn: account_pages.tokens_before(conn, "ann", "", 9, revoked=True))
    assert [token.name for token in mine] == ["t4"]
    assert await town.read(lambda conn: account_pages.count_of_tokens(conn, "ann")) == 2


async def test_a_token_is_made_once_under_the_id_that_a_form_chose(town: Database) -> None:
    wish = TokenWish(user="bob", name="deploy", id="0123456789abcdef")
    await town.write(lambda conn: account_actions.create_token(conn, SYSTEM, wish, NOW))
    with pytest.raises(Conflict, match="only once"):
        await town.write(lambda conn: account_actions.create_token(conn, SYSTEM, wish, NOW))
    assert await town.read(account_pages.count_of_tokens) == 1


async def test_dead_letters_are_paged_also_of_one_reason(db: Database) -> None:
    letters = [
        DeadLetter(at=NOW, topic="t", reason="ab"[k % 2], body=b"x", size_bytes=1, source="nsq", sender="") for k in range(7)
    ]
    assert await db.read(intake_pages.is_empty)
    await db.write(lambda conn: dead_letters.append(conn, letters))
    first = await db.read(lambda conn: intake_pages.letters(conn, reason="a", limit=3))
    rest = await db.read(lambda conn: intake_pages.letters(conn, reason="a", before_id=first[-1].id))
    assert len({letter.id for letter in (*first, *rest)}) == 4
    assert {letter.reason for letter in (*first, *rest)} == {"a"}
    arrived = await db.read(intake_pages.arrived)
    assert (arrived.is_empty, arrived.letters, arrived.first) == (True, 7, None)

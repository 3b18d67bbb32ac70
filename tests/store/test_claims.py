"""Claim, release, assign and pin over a real store, many at one moment included (SPEC 6)."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import insert

from taskdash.actions.bulk import Item, bulk
from taskdash.actions.claims import assign, claim, pin, release
from taskdash.errors import BadField, Conflict, Forbidden, UnknownTask, VersionMissing
from taskdash.model.instants import seconds, to_rfc3339
from taskdash.model.records import Actor, Event, Incident, Role, Task
from taskdash.rules.binding import Wish
from taskdash.store import events, incidents, tasks
from taskdash.store.database import Database
from taskdash.store.tables import groups, users
from tests.support import NOW, a_task


def a_person(name: str, role: Role = "member", *in_groups: str) -> Actor:
    return Actor(type="user", id=name, channel="web", role=role, groups=in_groups or ("mx",))


ANN, BOB, LEAD, ADMIN = a_person("ann"), a_person("bob"), a_person("lea", "lead"), a_person("root", "admin")


async def accounts(db: Database, *names: str) -> None:
    await db.write(lambda conn: conn.execute(insert(users), [{"name": name, "role": "member"} for name in names]).rowcount)
    await db.write(lambda conn: conn.execute(insert(groups), [{"id": key} for key in ("mx", "ops")]).rowcount)


async def keep(db: Database, *new: Task) -> None:
    await db.write(lambda conn: tasks.save(conn, [(None, task) for task in new]))


async def stored(db: Database, task_id: str = "133") -> Task:
    found = await db.read(lambda conn: tasks.load(conn, task_id))
    assert found is not None
    return found


async def history(db: Database) -> list[Event]:
    return await db.read(lambda conn: events.after(conn, 0))


async def test_R5_of_many_claims_at_one_moment_exactly_one_wins_and_every_loser_is_told_who(db: Database) -> None:
    await keep(db, a_task())
    people = [a_person(f"p{n}") for n in range(200)]
    outcomes = await asyncio.gather(
        *(claim(db, person, "133", NOW, seen=n % 2 or None) for n, person in enumerate(people)), return_exceptions=True
    )
    winners = [outcome.user for outcome in outcomes if isinstance(outcome, Task)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert (len(winners), len(losers)) == (1, 199)
    for lost in losers:
        assert lost.extra["holder"] == {"user": winners[0], "since": to_rfc3339(NOW)}
        assert lost.extra["task"].user == winners[0]
    assert ((await stored(db)).version, [event.after["user"] for event in await history(db)]) == (2, winners)


async def one_try(db: Database, actor: Actor, chance: random.Random, told: list[tuple[str, Any, Any]]) -> None:
    seen = await stored(db)
    wish = Wish(user=chance.choice(["ann", "bob", ""]), group_id=chance.choice(["mx", "ops"]), seen=seen.version)
    try:
        if chance.random() < 0.4:
            told.append(("claim", actor.id, await claim(db, actor, "133", NOW, seen=seen.version)))
        elif chance.random() < 0.5:
            told.append(("release", actor.id, await release(db, actor, "133", NOW, seen=seen.version)))
        else:
            told.append(("assign", wish, await assign(db, actor, "133", wish, NOW)))
    except (Conflict, Forbidden):
        told.append(("refused", None, None))


async def test_R131_versions_and_events_of_a_storm_of_changes_tell_one_and_the_same_story(db: Database) -> None:
    await keep(db, a_task(group_id="mx"))
    await accounts(db, "ann", "bob")
    chance, told = random.Random(131), []
    people = [ADMIN, a_person("ann", "admin"), a_person("bob", "admin")]
    for _round in range(30):
        await asyncio.gather(*(one_try(db, chance.choice(people), chance, told) for _ in range(10)))
    state = {"user": "", "group_id": "mx", "pinned": False, "until": None, "version": 1}
    for event in await history(db):
        assert event.before == {name: state[name] for name in event.before}
        assert event.after["version"] == state["version"] + 1
        state |= event.after
    final = await stored(db)
    assert {name: getattr(final, name) for name in state} == state
    versions = [task.version for kind, _who, task in told if kind != "refused"]
    assert set(range(2, final.version + 1)) <= set(versions)
    assert len({event.after["version"] for event in await history(db)}) == len(await history(db)) > 20


async def test_R33_a_claim_that_is_repeated_gives_the_same_task_and_no_second_event(db: Database) -> None:
    await keep(db, a_task())
    first = await claim(db, ANN, "133", NOW, seen=1)
    assert await claim(db, ANN, "133", NOW + 9, seen=1) == first
    released = await release(db, ANN, "133", NOW, seen=2)
    assert await release(db, ANN, "133", NOW + 9, seen=2) == released
    assert [event.kind for event in await history(db)] == ["task.claimed", "task.released"]


async def test_a_claim_with_an_end_is_kept_with_it(db: Database) -> None:
    await keep(db, a_task())
    assert (await claim(db, ANN, "133", NOW, until=NOW + seconds(60))).until == NOW + seconds(60)
    with pytest.raises(BadField):
        await claim(db, ANN, "133", NOW, until=NOW)


async def test_an_assignment_is_refused_in_the_words_of_each_port(db: Database) -> None:
    await keep(db, a_task(group_id="mx"))
    await accounts(db, "bob")
    with pytest.raises(VersionMissing):
        await assign(db, LEAD, "133", Wish(user="bob"), NOW)
    with pytest.raises(BadField, match="no account named carol"):
        await assign(db, LEAD, "133", Wish(user="carol", seen=1), NOW)
    with pytest.raises(BadField, match="no group none"):
        await assign(db, ADMIN, "133", Wish(group_id="none", seen=1), NOW)
    with pytest.raises(Forbidden):
        await assign(db, ANN, "133", Wish(user="bob", seen=1), NOW)
    assert (await assign(db, LEAD, "133", Wish(user="bob", pin=True, seen=1), NOW)).pinned
    with pytest.raises(Conflict) as old:
        await assign(db, LEAD, "133", Wish(user="", seen=1), NOW)
    assert (old.value.extra["task"].version, old.value.extra["holder"]["user"]) == (2, "bob")
    assert len(await history(db)) == 1


async def test_a_lead_pins_and_unpins(db: Database) -> None:
    await keep(db, a_task(group_id="mx"))
    assert (await pin(db, LEAD, "133", NOW, pinned=True)).pinned
    assert not (await pin(db, LEAD, "133", NOW, pinned=False, seen=2)).pinned
    assert [event.kind for event in await history(db)] == ["task.pinned", "task.unpinned"]


async def test_what_is_not_there_and_what_one_may_not_see_are_the_same_to_the_caller(db: Database) -> None:
    await keep(db, a_task(group_id="ops"))
    with pytest.raises(UnknownTask) as absent:
        await claim(db, ANN, "no such", NOW)
    with pytest.raises(UnknownTask) as hidden:
        await claim(db, ANN, "133", NOW, visibility="groups")
    assert str(hidden.value).replace("133", "no such") == str(absent.value)
    with pytest.raises(Forbidden):
        await claim(db, ANN, "133", NOW)


async def an_incident_of_billing(db: Database) -> None:
    incident = Incident(id="i1", kind="down", cause="billing", services=("billing", "mail"), sentence="billing is down")
    await db.write(lambda conn: incidents.save(conn, [incident]))


async def acknowledged(db: Database) -> tuple[str, str]:
    incident = await db.read(lambda conn: incidents.load(conn, "i1"))
    assert incident is not None
    return incident.state, incident.acknowledged_by


async def test_claiming_an_affected_task_acknowledges_its_incident_for_that_task_and_the_last_one_as_a_whole(
    db: Database,
) -> None:
    await keep(
        db, *(a_task(id=key, service_id=service) for key, service in {"a": "billing", "b": "mail", "c": "other"}.items())
    )
    await an_incident_of_billing(db)
    await claim(db, ANN, "a", NOW)
    await claim(db, ANN, "c", NOW)
    assert await acknowledged(db) == ("open", "")
    lines = [(event.subject_id, event.after) for event in await history(db) if event.kind == "incident.acknowledged"]
    assert lines == [("i1", {"task": "a"})]
    await bulk(db, BOB, "claim", [Item("b")], NOW)
    assert await acknowledged(db) == ("acknowledged", "bob")
    assert [event.kind for event in await history(db)][-3:] == [
        "task.claimed",
        "incident.acknowledged",
        "incident.acknowledged",
    ]


async def test_claiming_again_or_releasing_acknowledges_nothing(db: Database) -> None:
    await keep(db, a_task(id="a", service_id="billing", user="ann"))
    await an_incident_of_billing(db)
    await claim(db, ANN, "a", NOW)
    await release(db, ANN, "a", NOW)
    assert await acknowledged(db) == ("open", "")

"""Incidents over a real store: opened, kept, ended, acknowledged, read."""

from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from taskdash.actions import incidents
from taskdash.errors import Forbidden, NotFound
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, DeadLetter, Event, Incident, Service
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import Condition, opening
from taskdash.store import dead_letters, events, services, tasks
from taskdash.store import incidents as stored
from taskdash.store.database import Database
from tests.support import NOW, a_service, a_task

LIMITS = Limits()
MEMBER = Actor(type="user", id="mia", channel="web", role="member")


def after(s: float) -> Instant:
    return NOW + seconds(s)


def heard(id: str = "billing", **fields: Any) -> Service:
    return a_service(**{"id": id, "name": id, "source": "nsq", "due_at": after(21), **fields})


async def keep(db: Database, *known: Service) -> None:
    await db.write(lambda conn: services.save(conn, known))


async def service_of(db: Database, id: str = "billing") -> Service:
    found = await db.read(lambda conn: services.load(conn, id))
    assert found is not None
    return found


async def told(db: Database, kind: str = "*") -> list[Event]:
    return await db.read(lambda conn: events.page(conn, after_seq=0, kind=kind, limit=500))


def a_condition(**fields: Any) -> Condition:
    return Condition(**{"kind": "input", "cause": "nsq", "at": NOW, "sentence": "It is lost.", "evidence": "cut", **fields})


async def an_incident(db: Database, **fields: Any) -> Incident:
    incident, _ = opening(a_condition(**fields), LIMITS)
    await db.write(lambda conn: stored.save(conn, [incident]))
    return incident


async def test_a_trouble_of_the_store_that_several_instances_met_is_told_once(db: Database) -> None:
    def trouble(s: float) -> Condition:
        return a_condition(kind="store", cause="store", at=after(s))

    await incidents.keep_past(db, "store", [trouble(0)], after(5), LIMITS)
    await incidents.keep_past(db, "store", [], after(6), LIMITS)
    for met_s in (0, 1, 6):
        await incidents.keep_past(db, "store", [trouble(met_s)], after(60), LIMITS)
    assert [event.kind for event in await told(db)] == ["incident.opened", "incident.resolved"]
    await incidents.keep_past(db, "store", [trouble(70)], after(75), LIMITS)
    [another] = await incidents.opened(db)
    assert another.opened_at == after(70)


async def test_a_trouble_that_the_leader_called_over_begins_anew_after_that_end_whenever_it_began(db: Database) -> None:
    await incidents.keep(db, ("input",), [a_condition(at=after(0))], after(1), LIMITS)
    await incidents.keep(db, ("input",), [], after(10), LIMITS)
    for began in (0, 5):
        await incidents.keep(db, ("input",), [a_condition(at=after(began))], after(11), LIMITS)
        await incidents.keep(db, ("input",), [a_condition(at=after(began))], after(12), LIMITS)
        await incidents.keep(db, ("input",), [], after(13), LIMITS)
    found = sorted(await db.read(lambda conn: stored.page(conn, limit=10)), key=lambda incident: incident.opened_at)
    assert len(found) == 3
    assert all(one.resolved_at is not None and one.resolved_at < other.opened_at for one, other in pairwise(found))


async def test_conditions_open_and_resolve_one_incident(db: Database) -> None:
    for now_s in (0, 1):
        await incidents.keep(db, ("input",), [a_condition()], after(now_s), LIMITS)
    [incident] = await incidents.opened(db)
    await incidents.keep(db, ("store",), [], after(2), LIMITS)
    assert await incidents.opened(db) == [incident], "others' kinds are left alone"
    await incidents.keep(db, ("input",), [], after(3), LIMITS)
    assert await incidents.opened(db) == []
    assert [e.kind for e in await told(db)] == ["incident.opened", "incident.resolved"]
    again = await db.read(lambda conn: stored.load(conn, incident.id))
    assert again
    assert (again.state, again.resolved_at) == ("resolved", after(3))


async def test_an_incident_ends_when_its_services_are_well(db: Database) -> None:
    await an_incident(db, kind="down", cause="nsq/billing", services=("billing", "gone"))
    await keep(db, heard(state="down"))
    await incidents.settle(db, after(40))
    assert len(await incidents.opened(db)) == 1
    service = await service_of(db)
    await db.write(lambda conn: services.save_columns(conn, [{"b_pk": service.pk, "state": "up"}]))
    await incidents.settle(db, after(50))
    assert await incidents.opened(db) == []


async def test_a_member_acknowledges_an_incident(db: Database) -> None:
    incident = await an_incident(db)
    for _ in range(2):
        known = await incidents.acknowledge(db, MEMBER, incident.id, after(5))
        assert (known.state, known.acknowledged_by) == ("acknowledged", "mia")
    assert [e.kind for e in await told(db)] == ["incident.acknowledged"]
    with pytest.raises(NotFound):
        await incidents.acknowledge(db, MEMBER, "none", NOW)
    with pytest.raises(Forbidden):
        await incidents.acknowledge(db, Actor(type="user", id="v", channel="web"), incident.id, NOW)


async def test_reminders_are_due_until_somebody_acknowledged(db: Database) -> None:
    incident = await an_incident(db)
    assert await incidents.remind(db, after(899), LIMITS) == []
    assert [i.id for i in await incidents.remind(db, after(900), LIMITS)] == [incident.id]
    assert await incidents.remind(db, after(901), LIMITS) == []
    await incidents.acknowledge(db, MEMBER, incident.id, after(1_000))
    assert await incidents.remind(db, after(9_000), LIMITS) == []


async def test_incidents_are_read_newest_first_page_by_page(db: Database) -> None:
    for n in range(5):
        await an_incident(db, cause=f"c{n}", at=after(n), services=(f'a"{n}',))
    first = await db.read(lambda conn: stored.page(conn, limit=3))
    assert [i.cause for i in first] == ["c4", "c3", "c2"]
    rest = await db.read(lambda conn: stored.page(conn, before=(first[-1].opened_at, first[-1].id), limit=3))
    assert [i.cause for i in rest] == ["c1", "c0"]
    assert await db.read(lambda conn: stored.page(conn, kinds=["down"])) == []
    assert len(await db.read(lambda conn: stored.page(conn, states=["open"], kinds=["input"]))) == 5
    assert [i.cause for i in await db.read(lambda conn: stored.page(conn, service_id='a"2'))] == ["c2"]
    assert (await db.read(lambda conn: stored.by_cause(conn, "input", "c1"))) is not None
    assert (await db.read(lambda conn: stored.by_cause(conn, "input", "c9"))) is None


async def test_the_effect_of_an_incident_is_its_services_tasks(db: Database) -> None:
    held = [
        a_task(id="1", service_id="billing"),
        a_task(id="2", service_id="billing", user="mia"),
        a_task(id="3", service_id="billing", gone_at=NOW),
        a_task(id="4", service_id="mail"),
    ]
    await db.write(lambda conn: tasks.save(conn, [(None, task) for task in held]))
    incident = Incident(id="1", kind="down", cause="c", services=("billing",))
    assert await db.read(lambda conn: stored.effects(conn, incident)) == (2, 1)


async def test_what_the_tables_tell_is_wrong(db: Database) -> None:
    failing = {"collect_ok": False, "collect_error": "timed out", "url": "http://a.example/"}
    await keep(
        db,
        heard("failing", **failing, collect_error_at=after(-200)),
        heard("since now", **failing, collect_error_at=after(-1)),
        heard("clashing"),
    )
    clash = text("INSERT INTO clashes (task_id, service_id, at) VALUES ('133', 'clashing', 5), ('9', 'removed', 5)")
    await db.write(lambda conn: conn.execute(clash))
    letter = DeadLetter(at=NOW, topic="t", reason="not JSON", body=b"x", size_bytes=1)
    await db.write(lambda conn: dead_letters.append(conn, [letter]))
    found = await incidents.found_in_store(db, after(1), LIMITS)
    assert [(c.kind, c.cause) for c in found] == [
        ("collect", "failing"),
        ("clash", "clashing"),
        ("dead_letters", "dead_letters"),
    ]

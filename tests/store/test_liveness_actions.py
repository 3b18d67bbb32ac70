"""The tick over a real store, and what operators do to a service."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Connection, text

from taskdash.actions import incidents, liveness
from taskdash.actions.liveness import Ticked, tick
from taskdash.errors import BadField, Forbidden, NotFound
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, Event, Service
from taskdash.rules.deadlines import Limits
from taskdash.rules.liveness import UrlAnswer
from taskdash.rules.sight import URLS, Sight, Source, crowd_of
from taskdash.store import events, services, silence
from taskdash.store.database import Database
from tests.support import NOW, a_service

LIMITS = Limits()
LEAD = Actor(type="user", id="lea", channel="api", role="lead")
MEMBER = Actor(type="user", id="mia", channel="web", role="member")
SIGHT = Sight(started_at=0, sources={"nsq": Source(name="nsq", healthy=True, since=0)})


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


async def ticked(db: Database, now_s: float, sight: Sight = SIGHT, answers: Mapping[str, UrlAnswer] | None = None) -> Ticked:
    return await tick(db, after(now_s), sight, answers or {}, LIMITS)


# the tick


async def test_nobody_due_costs_no_write(db: Database) -> None:
    await keep(db, heard())
    commits: list[int] = []
    db.on_commit = lambda _told: commits.append(1)
    assert await ticked(db, 20) == Ticked()
    assert commits == []


async def test_a_tick_stores_state_event_and_incident_together(db: Database) -> None:
    await keep(db, heard())
    await ticked(db, 21.5)
    await ticked(db, 31.5)
    service = await service_of(db)
    assert (service.state, service.since, service.due_at) == ("down", after(31), after(31 + LIMITS.archive_after_s))
    assert [(e.kind, e.at, e.after.get("state")) for e in await told(db)] == [
        ("service.state", after(21), "late"),
        ("service.state", after(31), "down"),
        ("incident.opened", after(31), "open"),
    ]
    [incident] = await incidents.opened(db)
    assert (incident.kind, incident.services) == ("down", ("billing",))


async def test_a_look_that_changes_no_state_writes_no_event(db: Database) -> None:
    await keep(db, heard(url="http://a.example/", state="late", since=after(21), due_at=after(31)))
    result = await ticked(db, 31, answers={"billing": UrlAnswer(True, after(30), 4.0)})
    assert [service.id for service in result.asks] == ["billing"]
    assert await told(db) == []
    service = await service_of(db)
    assert (service.due_at, "answered in 4 ms" in service.evidence) == (after(39), True)


async def test_a_tick_takes_a_page_oldest_first(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PAGE", 3)
    await keep(db, *[heard(f"service-{n}", due_at=after(21 - n)) for n in range(5)])
    first = await ticked(db, 22)
    assert (first.judged, first.is_whole_page) == (3, True)
    assert [(await service_of(db, f"service-{n}")).state for n in range(5)] == ["up", "up", "late", "late", "late"]
    assert not (await ticked(db, 22)).is_whole_page


async def test_a_service_that_somebody_else_changed_meanwhile_is_left_alone(db: Database) -> None:
    await keep(db, heard(), heard("other"))
    read, other = await service_of(db), await service_of(db, "other")
    other_late = structs.replace(other, state="late")
    await db.write(lambda conn: services.save_columns(conn, [{"b_pk": read.pk, "due_at": after(31)}]))
    late = a_service(pk=read.pk, state="late", due_at=after(31))

    def race(conn: Connection) -> list[silence.Judged]:
        silence.push_on(conn, [(read, late)])
        return silence.compare_and_set(conn, [(read, late), (other, other_late)])

    assert await db.write(race) == [(other, other_late)]
    assert (await service_of(db)).state == "up"
    current = await service_of(db)
    assert await db.write(lambda conn: silence.compare_and_set(conn, [(current, late)])) == [(current, late)]


ROTTEN = ["UPDATE services SET interval_s = 'nan' WHERE id = 'bad'", "UPDATE services SET flaps = '{' WHERE id = 'bad'"]


@pytest.mark.parametrize("rot", ROTTEN)
async def test_one_bad_row_never_stops_the_tick(db: Database, rot: str) -> None:
    await keep(db, heard("bad", due_at=after(20)), heard("good"))
    await db.write(lambda conn: conn.execute(text(rot)))
    assert (await ticked(db, 22)).bad == 1
    assert (await service_of(db, "good")).state == "late"
    due = await db.read(lambda conn: conn.execute(text("SELECT due_at FROM services WHERE id = 'bad'")).scalar())
    assert due == after(22 + 60)


async def test_a_mistake_in_the_rules_about_one_service_never_stops_the_tick(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(db, heard("bad", due_at=after(20)), heard("good"))
    rule = liveness.judgement.next_state

    def flawed(service: Service, *rest: Any) -> Any:
        return rule(service, *rest) if service.id == "good" else 1 / 0

    monkeypatch.setattr(liveness.judgement, "next_state", flawed)
    assert (await ticked(db, 22)).bad == 1
    assert (await service_of(db, "good")).state == "late"
    assert (await service_of(db, "bad")).due_at == after(22 + 60)


async def test_everything_that_crashes_at_once_is_held_and_is_one_incident(db: Database) -> None:
    await keep(db, *[heard(f"service-{n}", due_at=after(31), state="late", since=after(21)) for n in range(20)])
    await ticked(db, 31.5)
    assert {(await service_of(db, f"service-{n}")).reason for n in range(20)} == {"mass"}
    for now_s in range(40, 160, 8):
        await ticked(db, now_s)
    assert {(await service_of(db, f"service-{n}")).state for n in range(20)} == {"down"}
    [incident] = await incidents.opened(db)
    assert (len(incident.services), incident.sentence) == (20, "20 services fell silent together.")


async def test_a_witness_names_the_dead_at_once(db: Database) -> None:
    dead = [heard(f"service-{n}", due_at=after(31), state="late", since=after(21)) for n in range(20)]
    await keep(db, *dead, heard("witness", last_beat_at=after(25), due_at=after(46)))
    await ticked(db, 31.5)
    assert (await service_of(db, "service-3")).state == "down"


@pytest.mark.parametrize("now_s", [0, 10.9, 11, 21, 31, 100])
async def test_the_crowd_in_the_tables_is_the_crowd_of_the_rule(db: Database, now_s: float) -> None:
    known = [
        heard("a"),
        heard("slow", interval_s=60.0),
        heard("new", state="new", last_beat_at=None),
        heard("registered again", registered_at=after(5)),
        heard("resumed", judge_from=after(9)),
        heard("fell", state="down", since=after(8), last_beat_at=after(-50)),
        heard("down before", state="down", since=after(-100), last_beat_at=after(-140)),
        heard("left", state="left", last_beat_at=after(9)),
        heard("archived", archived_at=NOW),
        heard("collected", collect_ok_at=after(-3), last_beat_at=after(1)),
        heard("elsewhere", source="http", last_beat_at=after(9)),
    ]
    await keep(db, *known)
    expected = crowd_of([service for service in known if service.source == "nsq"], after(now_s))
    assert await db.read(lambda conn: silence.crowd(conn, "nsq", after(now_s))) == expected
    assert (await db.read(lambda conn: silence.crowd(conn, "nobody", after(now_s)))).all == 0


async def test_the_crowd_of_urls_are_those_who_send_no_beats(db: Database) -> None:
    silent: dict[str, Any] = {"interval_s": 0.0, "url": "http://a.example/", "last_beat_at": None}
    await keep(
        db,
        heard("failing", **silent, collect_ok_at=after(-40)),
        heard("answering", **silent, collect_ok_at=after(30)),
        heard("without url", **silent | {"url": ""}),
        heard("beats", collect_ok_at=after(31)),
    )
    crowd = await db.read(lambda conn: silence.crowd(conn, URLS, after(35)))
    assert (crowd.silent, crowd.all, crowd.newest_at) == (1, 2, after(31))
    assert await db.read(silence.newest_answer_at) == after(31)


async def test_a_service_without_beats_is_judged_with_the_crowd_of_urls(db: Database) -> None:
    silent: dict[str, Any] = {"interval_s": 0.0, "url": "http://a.example/", "last_beat_at": None, "state": "late"}
    await keep(db, *[heard(f"s-{n}", **silent, due_at=after(47)) for n in range(6)])
    refused = {f"s-{n}": UrlAnswer(False, after(46), 1.0, "refused") for n in range(6)}
    await ticked(db, 48, answers=refused)
    assert (await service_of(db, "s-0")).reason == "mass"


async def test_old_down_services_are_archived(db: Database) -> None:
    await keep(db, heard(state="down", since=NOW, due_at=after(LIMITS.archive_after_s)))
    await ticked(db, LIMITS.archive_after_s + 1)
    assert (await service_of(db)).archived_at == after(LIMITS.archive_after_s)
    assert [e.kind for e in await told(db)] == ["service.archived"]


# operators


async def test_a_lead_pauses_resumes_and_archives(db: Database) -> None:
    await keep(db, heard())
    paused = await liveness.pause(db, LEAD, "billing", "moving house", after(60), after(1))
    assert (paused.state, (await service_of(db)).pause_reason) == ("paused", "moving house")
    resumed = await liveness.resume(db, LEAD, "billing", after(2), LIMITS)
    assert resumed.state == "up"
    archived = await liveness.archive(db, LEAD, "billing", after(3))
    assert archived.archived_at == after(3)
    assert [(e.kind, e.actor_id, e.channel) for e in await told(db)] == [
        (kind, "lea", "api") for kind in ("service.paused", "service.state", "service.archived")
    ]


async def test_what_operators_may_not_do_changes_nothing(db: Database) -> None:
    await keep(db, heard())
    with pytest.raises(Forbidden):
        await liveness.pause(db, MEMBER, "billing", "because", None, NOW)
    with pytest.raises(NotFound):
        await liveness.resume(db, LEAD, "nobody", NOW, LIMITS)
    with pytest.raises(BadField, match="reason"):
        await liveness.pause(db, LEAD, "billing", " ", None, NOW)
    with pytest.raises(BadField, match="until"):
        await liveness.pause(db, LEAD, "billing", "because", NOW, NOW)
    assert (await liveness.resume(db, LEAD, "billing", NOW, LIMITS)).state == "up", "it was not paused"
    assert await told(db) == []


async def test_a_pause_ends_by_itself(db: Database) -> None:
    await keep(db, heard())
    await liveness.pause(db, LEAD, "billing", "repair", after(100), after(1))
    await ticked(db, 101)
    assert (await service_of(db)).state == "new"

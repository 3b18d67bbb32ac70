"""The tick over a real store, what operators do to a service, and the incidents that follow."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Connection, text

from taskdash.actions import incidents, liveness
from taskdash.actions.liveness import Ticked, tick
from taskdash.clock import ManualClock
from taskdash.errors import BadField, Forbidden, NotFound, StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, DeadLetter, Event, Incident, Service
from taskdash.monitor.asking import Asking
from taskdash.monitor.lag import LagWatch
from taskdash.monitor.ticker import Chore, Ticker
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import Condition, opening
from taskdash.rules.liveness import UrlAnswer
from taskdash.rules.sight import URLS, Sight, Source, Span, crowd_of
from taskdash.store import dead_letters, events, services, silence, tasks
from taskdash.store import incidents as stored
from taskdash.store.database import Database
from tests.support import NOW, a_service, a_task, eventually

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
    db.on_commit = lambda: commits.append(1)
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


# incidents


def a_condition(**fields: Any) -> Condition:
    return Condition(**{"kind": "input", "cause": "nsq", "at": NOW, "sentence": "It is lost.", "evidence": "cut", **fields})


async def an_incident(db: Database, **fields: Any) -> Incident:
    incident, _ = opening(a_condition(**fields), LIMITS)
    await db.write(lambda conn: stored.save(conn, [incident]))
    return incident


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


# the ticker


async def nobody_answers(asked: Sequence[Service]) -> dict[str, UrlAnswer]:
    return {}


class Monitor:
    """A ticker over the store with a clock that moves only when told."""

    def __init__(self, db: Database, probe: Any = nobody_answers, chores: Sequence[Chore] = ()) -> None:
        self.clock = ManualClock(NOW)
        self.inputs = Inputs(self.clock)
        self.inputs.report("nsq", healthy=True)
        self.parts = Parts(self.clock)
        self.ticker = Ticker(db, self.clock, self.inputs, self.parts, probe, LIMITS, chores)

    async def step(self, forward_s: float = 0.0) -> None:
        self.clock.advance(forward_s)
        await self.ticker.step()

    def reason(self) -> str:
        return next(part.reason for part in self.parts if part.name == "monitor")


async def test_the_ticker_names_a_silent_service_and_settles_its_incident(db: Database) -> None:
    await keep(db, heard(last_beat_at=after(1), due_at=after(22)))
    monitor = Monitor(db)
    await monitor.step(22)
    assert (await service_of(db)).state == "late"
    await monitor.step(10)
    assert (await service_of(db)).state == "down"
    assert len(await incidents.opened(db)) == 1
    service = await service_of(db)
    await db.write(lambda conn: services.save_columns(conn, [{"b_pk": service.pk, "state": "up"}]))
    await monitor.step(1)
    assert await incidents.opened(db) == []
    assert monitor.reason() == ""


async def test_R9_the_ticker_asks_the_url_beside_the_tick(db: Database) -> None:
    asked: list[str] = []

    async def refuse(some: Sequence[Service]) -> dict[str, UrlAnswer]:
        asked.extend(service.id for service in some)
        return {service.id: UrlAnswer(False, monitor.clock.now(), 1.0, "connection refused") for service in some}

    monitor = Monitor(db, refuse)
    await keep(db, heard(url="http://a.example/", last_beat_at=after(1), due_at=after(22)))
    for forward_s in (22, 4, 6):
        n = len(asked)
        await monitor.step(forward_s)
        await eventually(lambda n=n: len(asked) > n or (monitor.clock.now() >= after(32)))
    service = await service_of(db)
    assert (service.state, service.since) == ("down", after(32))
    assert asked == ["billing", "billing"]


async def test_R10_an_input_that_is_lost_makes_unknown_and_an_incident_that_ends(db: Database) -> None:
    await keep(db, heard(last_beat_at=after(1), due_at=after(22)))
    monitor = Monitor(db)
    await monitor.step(1)
    monitor.inputs.report("nsq", healthy=False, reason="connection refused")
    await monitor.step(40)
    service = await service_of(db)
    assert (service.state, service.reason, service.last_known) == ("unknown", "input", "up")
    [incident] = await incidents.opened(db)
    assert (incident.kind, incident.sentence, incident.opened_at) == ("input", "The input nsq is lost.", after(1))
    monitor.inputs.report("nsq", healthy=True)
    await monitor.step(4)
    assert len(await incidents.opened(db)) == 1, "it must stay back for a moment"
    await monitor.step(2)
    assert await incidents.opened(db) == []


async def test_R15_a_store_that_refuses_is_told_and_its_incident_is_written_when_it_works_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(db, heard(due_at=after(1)))
    monitor = Monitor(db)
    monitor.parts.report("store", "the disk is full")

    async def refuse(_work: object) -> None:
        raise StoreRefused("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(db, "write", refuse)
        for _ in range(3):
            await monitor.step(2)
        assert monitor.reason() == "the disk is full"
    monitor.parts.report("store")
    for _ in range(3):
        await monitor.step(2)
    assert monitor.reason() == ""
    assert [(e.kind, e.evidence) for e in await told(db, "incident.*")][-1:] == [
        ("incident.resolved", "The store refuses to keep anything.")
    ]
    assert await incidents.opened(db) == []


async def test_a_mistake_of_ours_does_not_end_the_monitor(db: Database) -> None:
    async def fail(_now: Instant) -> int:
        raise ZeroDivisionError

    monitor = Monitor(db, chores=[Chore("odd", fail)])
    await monitor.step()
    assert monitor.reason() == "the last look failed (ZeroDivisionError)"


async def test_chores_are_done_when_their_time_has_come_and_again_while_a_page_is_full(db: Database) -> None:
    done: list[Instant] = []
    left = [500, 500, 3, 0]

    async def end_shifts(now: Instant) -> int:
        done.append(now)
        return left.pop(0)

    monitor = Monitor(db, chores=[Chore("shifts", end_shifts, every_s=10)])
    await monitor.step(1)
    assert len(done) == 3
    await monitor.step(5)
    assert len(done) == 3
    await monitor.step(5)
    assert len(done) == 4


async def test_reminders_are_moved_by_the_monitor(db: Database) -> None:
    await an_incident(db, kind="down", cause="c", services=("billing",))
    await keep(db, heard(state="down", due_at=None))
    monitor = Monitor(db)
    await monitor.step(901)
    [incident] = await incidents.opened(db)
    assert incident.next_reminder_at == after(901 + 900)


async def test_R41_after_a_stall_nothing_is_judged_until_what_waited_could_be_read(db: Database) -> None:
    await keep(db, heard(last_beat_at=after(1), due_at=after(22)))
    monitor = Monitor(db)
    running = asyncio.create_task(monitor.ticker.run())
    await eventually(lambda: len(monitor.clock._sleepers) == 2)
    for forward_s in (60, *[0.25] * 9):
        monitor.clock.advance(forward_s)
        await eventually(lambda: len(monitor.clock._sleepers) == 2)
        assert (await service_of(db)).state == "up"
    assert (await service_of(db)).due_at == after(22 + 60), "59 s of the stall, and the second after it"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_the_watch_notes_only_real_stalls() -> None:
    clock = ManualClock(NOW)
    watch = LagWatch(clock)
    watch.look()
    assert watch.stalls == (), "it does not run yet"
    watch._runs = True
    for forward_s in (0.25, 0.7, 0.8):
        clock.advance(forward_s)
        watch.look()
    assert watch.stalls == (Span(after(0.95), after(2.75)),)
    assert watch.is_settling
    clock.advance(1.0)
    assert not watch.is_settling


async def test_a_probe_that_fails_is_no_answer_and_is_asked_again_later() -> None:
    clock = ManualClock(NOW)
    calls: list[str] = []

    async def fail(some: Sequence[Service]) -> dict[str, UrlAnswer]:
        calls.append(some[0].id)
        raise OSError

    asking = Asking(clock, fail)
    asking.ask([heard()])
    asking.ask([heard()])
    await eventually(lambda: not asking._asked)
    assert (calls, asking.answers) == (["billing"], {})
    asking.ask([heard()])
    await eventually(lambda: len(calls) == 2)
    await asking.close()


async def test_answers_that_a_stall_may_have_spoilt_are_not_used() -> None:
    clock = ManualClock(NOW)
    go = asyncio.Event()

    async def answer(some: Sequence[Service]) -> dict[str, UrlAnswer]:
        await go.wait()
        return {some[0].id: UrlAnswer(False, clock.now(), 0.0, "timed out")}

    asking = Asking(clock, answer)
    asking.ask([heard()])
    asking.distrust()
    go.set()
    await eventually(lambda: not asking._asked)
    assert asking.answers == {}
    asking.ask([heard()])
    await eventually(lambda: asking.answers)
    asking.ask([heard()])
    assert not asking._asked, "it was asked a moment ago"
    clock.advance(31)
    asking.forget_old()
    assert asking.answers == {}
    await asking.close()

"""The monitor: one look over a real store on a clock that moves only when told; lag; asking beside the tick."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from taskdash.actions import incidents, liveness
from taskdash.actions.instances import leave
from taskdash.actions.liveness import Ticked
from taskdash.clock import ManualClock
from taskdash.errors import StoreRefused
from taskdash.health import Inputs, Parts
from taskdash.instance import Instance
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Event, Incident, Service
from taskdash.monitor.asking import Asking
from taskdash.monitor.lag import LagWatch
from taskdash.monitor.ticker import Chore, Ticker
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import Condition, opening
from taskdash.rules.liveness import UrlAnswer
from taskdash.rules.sight import Span
from taskdash.store import events, services
from taskdash.store import incidents as stored
from taskdash.store.database import Database
from tests.support import NOW, a_service, eventually

LIMITS = Limits()


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


async def nobody_answers(asked: Sequence[Service]) -> dict[str, UrlAnswer]:
    return {}


class Monitor:
    """A ticker over the store with a clock that moves only when told."""

    def __init__(
        self, db: Database, probe: Any = nobody_answers, chores: Sequence[Chore] = (), clock: ManualClock | None = None
    ) -> None:
        self.clock = clock or ManualClock(NOW)
        self.inputs = Inputs(self.clock)
        self.inputs.report("nsq", healthy=True)
        self.parts = Parts(self.clock)
        self.instance = Instance(db, self.clock, ("monitor",), list, 5.0)
        of = self.instance if clock else None
        self.ticker = Ticker(db, self.clock, self.inputs, self.parts, probe, LIMITS, chores, of)

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


async def test_a_look_takes_all_pages(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskdash.actions.liveness.PAGE", 3)
    await keep(db, *[heard(f"service-{n}", last_beat_at=after(1), due_at=after(22)) for n in range(7)])
    monitor = Monitor(db)
    await monitor.step(23)
    assert {(await service_of(db, f"service-{n}")).state for n in range(7)} == {"late"}


async def test_R45_a_tick_that_takes_long_is_a_stall_itself(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor(db)
    rule = liveness.tick

    async def slow(*rest: Any) -> Ticked:
        monitor.clock.advance(5)
        return await rule(*rest)

    monkeypatch.setattr(liveness, "tick", slow)
    await monitor.step(1)
    assert monitor.ticker._lag.stalls == (Span(after(1), after(7)),)


async def test_R9_a_look_that_takes_long_keeps_what_urls_answered_meanwhile(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(some: Sequence[Service]) -> dict[str, UrlAnswer]:
        return {service.id: UrlAnswer(False, monitor.clock.now(), 1.0, "connection refused") for service in some}

    monitor = Monitor(db, refuse)
    await keep(db, heard(url="http://a.example/", last_beat_at=after(1), due_at=after(22)))
    await monitor.step(22)
    asking = monitor.ticker._asking
    await eventually(lambda: "billing" in asking.answers)
    rule = liveness.tick

    async def slow(*rest: Any) -> Ticked:
        monitor.clock.advance(2)
        return await rule(*rest)

    with monkeypatch.context() as patch:
        patch.setattr(liveness, "tick", slow)
        await monitor.step(1)
    assert monitor.ticker._lag.stalls
    await monitor.step(1)
    assert "billing" in asking.answers


async def test_a_store_that_refuses_while_its_incident_is_written_is_told_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = Monitor(db)
    monitor.parts.report("store", "the disk is full")

    async def refuse(_work: object) -> None:
        raise StoreRefused("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(db, "write", refuse)
        await monitor.step(1)
    monitor.parts.report("store")
    await monitor.step(3)
    assert [incident.kind for incident in await incidents.opened(db)] == ["store"]
    await monitor.step(1)
    assert await incidents.opened(db) == []


async def test_of_two_instances_only_the_one_that_leads_tells_what_the_store_refused(db: Database) -> None:
    """One that was cut off, and followed, does not tell it once more when it leads again."""
    clock = ManualClock(NOW)
    first, second = Monitor(db, clock=clock), Monitor(db, clock=clock)
    await first.instance.join()
    await second.instance.join()
    assert (first.instance.leads, second.instance.leads, second.instance.follows) == (True, False, True)
    first.parts.report("store", "cut off")
    clock.advance(10)
    assert not first.instance.follows
    await first.step()
    await leave(db, first.instance.id)
    await second.instance.join()
    await first.instance.join()
    assert (second.instance.leads, first.instance.follows) == (True, True)
    first.parts.report("store")
    await first.step()
    await leave(db, second.instance.id)
    await first.instance.join()
    assert first.instance.leads
    await first.step(1)
    assert await told(db, "incident.*") == []


async def test_an_instance_that_could_ask_nobody_tells_what_the_store_refused_when_it_leads_on(db: Database) -> None:
    clock = ManualClock(NOW)
    monitor = Monitor(db, clock=clock)
    await monitor.instance.join()
    monitor.parts.report("store", "away")
    clock.advance(10)
    await monitor.step()
    monitor.parts.report("store")
    await monitor.step()
    await monitor.instance.join()
    await monitor.step(1)
    assert [event.kind for event in await told(db, "incident.*")] == ["incident.opened"]

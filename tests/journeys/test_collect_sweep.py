"""The collector as a whole: who is asked when, how many at once, and what the store then holds. SPEC 4, R13, R49, R107."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from taskdash.actions import collection
from taskdash.collector.lanes import Limits
from taskdash.errors import StoreRefused
from taskdash.model.instants import in_seconds, seconds
from taskdash.store import services
from taskdash.store.places import Place
from tests import service as task_services
from tests.service import ONE, TWO, hangs, redirects, refuses, running, tells
from tests.support import eventually
from tests.sweeping import Collector, sweeping

BAD = 200
"""Times more than there are places, as 3,000 of the usual 512."""
SLOW: dict[str, Any] = {"collect_failures": 1, "collect_ok": False, "collect_took_ms": 5_000.0}


async def test_a_new_service_is_asked_at_once_and_its_tasks_are_stored(place: Place) -> None:
    async with running(tells([ONE, TWO])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        (found,) = await collector.until_collected("billing")
        task = await collector.task("133")
    assert task is not None
    assert (task.service_id, task.status, found.collect_ok, found.task_total) == ("billing", "running", True, 2)


async def test_a_changed_answer_is_seen_within_one_interval(place: Place) -> None:
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        service.answer = tells([ONE | {"status": "finish"}])
        began = collector.clock.now()

        async def is_finished() -> bool:
            task = await collector.task("133")
            return task is not None and task.status == "finish"

        await collector.until(is_finished)
        assert in_seconds(collector.clock.now() - began) <= 20


async def test_unchanged_answers_write_no_task_and_no_event(place: Place) -> None:
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        seen = (await collector.task("133"), await collector.history())
        await collector.until(lambda: len(service.requests) >= 4, step_s=1)
        first = (await collector.service("billing")).collected_at or 0

        async def is_noted() -> bool:
            return ((await collector.service("billing")).collected_at or 0) > first

        await collector.until(is_noted)
        assert (await collector.task("133"), await collector.history()) == seen


async def test_a_failing_service_is_asked_less_and_less_and_says_since_when(place: Place) -> None:
    async with running(refuses(500)) as service, sweeping(place) as collector:
        registered = await collector.register("billing", service.url)
        for failures in range(1, 6):

            async def has_failed(failures: int = failures) -> bool:
                return (await collector.service("billing")).collect_failures == failures

            await collector.until(has_failed, step_s=2)
        found = await collector.service("billing")
        assert (found.collect_ok, found.collect_error) == (False, "it answered with status 500")
        assert (found.collect_error_at or 0) - (registered.collect_at or 0) < seconds(5)
        pause = in_seconds((found.collect_at or 0) - (found.collected_at or 0))
        assert 0.9 * 240 <= pause <= 240
        service.answer = tells([ONE])
        await collector.sweep.collect_now(["billing"])
        found = await collector.service("billing")
        assert (found.collect_ok, found.collect_failures, found.collect_error_at) == (True, 0, None)


async def test_the_method_that_worked_is_remembered_in_the_store(place: Place) -> None:
    async def post_only(request: web.Request) -> web.StreamResponse:
        return await (tells([ONE]) if request.method == "POST" else refuses(405))(request)

    async with running(post_only) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        (found,) = await collector.until_collected("billing")
        await collector.sweep.collect_now(["billing"])
    assert found.method == "POST"
    assert service.methods == ["GET", "POST", "POST"]


async def test_collect_now_returns_when_the_answer_is_stored(place: Place) -> None:
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url, collect_at=collector.clock.now() + seconds(3_600))
        await collector.register("quiet", "")
        await collector.sweep.collect_now(["billing", "quiet", "unknown"])
        assert await collector.task("133") is not None
        await collector.sweep.collect_now(["billing"])
        assert (await collector.service("billing")).collected_at is not None
    assert len(service.requests) == 2


async def test_a_probe_tells_what_the_url_said_and_counts_as_a_collection(place: Place) -> None:
    async with running(tells([ONE])) as good, running(refuses(503)) as bad, sweeping(place) as collector:
        later = collector.clock.now() + seconds(3_600)
        known = [
            await collector.register("good", good.url, collect_at=later),
            await collector.register("bad", bad.url, collect_at=later),
            await collector.register("none", ""),
        ]
        answers = await collector.sweep.probe(known)
        assert set(answers) == {"good", "bad"}
        assert (answers["good"].ok, answers["good"].error) == (True, "")
        assert (answers["bad"].ok, answers["bad"].error) == (False, "it answered with status 503")
        assert answers["good"].at >= later - seconds(3_600)
        assert await collector.task("133") is not None


class Counting:
    """A service that remembers how many askings it had at once, by host; each lasts until `go`."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.most_in_all = 0
        self.go = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        host = request.host
        self.now[host] = self.now.get(host, 0) + 1
        self.most[host] = max(self.most.get(host, 0), self.now[host])
        self.most_in_all = max(self.most_in_all, sum(self.now.values()))
        try:
            await self.go.wait()
        finally:
            self.now[host] -= 1
        return await tells([])(request)


async def test_R107_at_most_four_an_origin_and_so_many_in_all_are_asked_at_once(place: Place) -> None:
    counting = Counting()
    async with running(counting) as service, sweeping(place, Limits(at_once=20, an_origin=4, slow_lane=5)) as collector:
        ids = []
        for n in range(60):
            ids.append(f"s{n}")
            await collector.register(ids[-1], service.at(f"/{n}", f"host{n % 10}.test"))
        await collector.until(lambda: counting.most_in_all >= 9)
        await collector.pass_time(4)
        assert sum(counting.now.values()) == 9, "the rest is kept for what is urgent and for who has answered before"
        counting.go.set()
        await collector.until_collected(*ids)
    assert max(counting.most.values()) <= 4
    assert counting.most_in_all <= 20


async def test_R13_an_origin_with_many_hanging_services_holds_no_place_of_others(place: Place) -> None:
    async with (
        running(hangs) as bad,
        running(tells([])) as good,
        sweeping(place, Limits(at_once=40), whole_s=30) as collector,
    ):
        for n in range(40):
            await collector.register(f"bad{n}", bad.at(f"/{n}"))
        await collector.until(lambda: len(bad.requests) == 4)
        await collector.register("good", good.url)
        (found,) = await collector.until_collected("good")
        assert found.collect_ok
        assert len(bad.requests) == 4


async def test_R49_services_that_hang_use_a_lane_of_their_own(place: Place) -> None:
    async with (
        running(hangs) as bad,
        running(tells([])) as good,
        sweeping(place, Limits(at_once=40, slow_lane=3, patience_s=30), whole_s=30) as collector,
    ):
        for n in range(60):
            await collector.register(f"bad{n}", bad.at("/", f"bad{n}.test"), **SLOW)
        await collector.until(lambda: len(bad.requests) == 3)
        ids = [f"good{n}" for n in range(60)]
        for service_id in ids:
            await collector.register(service_id, good.at("/", f"{service_id}.test"))
        await collector.until_collected(*ids)
        assert len(bad.requests) == 3


async def test_R9_R49_thousands_of_urls_that_hang_hold_up_neither_collecting_nor_a_probe(place: Place) -> None:
    limits = Limits(at_once=64, patience_s=0.5)
    async with running(hangs) as bad, running(tells([])) as good, sweeping(place, limits, whole_s=600) as collector:
        hanging = await collector.register_many({f"bad{n}": bad.at("/", f"bad{n}.test") for n in range(BAD)})
        await collector.register_many({f"good{n}": good.at("/", f"good{n}.test") for n in range(50)})
        known = await collector.until_collected(*(f"good{n}" for n in range(50)), deadline_s=60)
        waiting = asyncio.create_task(collector.sweep.probe(hanging))
        answers = await collector.sweep.probe(known)
        assert all(answers[service.id].ok for service in known)
        assert not waiting.done()
        waiting.cancel()


async def test_R13_urls_that_never_answered_leave_half_of_the_places_to_those_that_did(place: Place) -> None:
    limits = Limits(at_once=20, patience_s=600)
    async with running(hangs) as bad, running(tells([])) as good, sweeping(place, limits, whole_s=600) as collector:
        await collector.register("good", good.url)
        await collector.until_collected("good")
        await collector.register_many({f"bad{n}": bad.at("/", f"bad{n}.test") for n in range(40)})
        await collector.until(lambda: len(bad.requests) == 4)
        before = len(good.requests)
        await collector.until(lambda: len(good.requests) >= before + 2, step_s=1)
        assert len(bad.requests) == 4


async def test_R13_of_a_url_that_changes_all_the_time_only_the_newest_waits_for_its_turn(place: Place) -> None:
    limits = Limits(at_once=20, patience_s=600)
    async with running(hangs) as bad, sweeping(place, limits, whole_s=600) as collector:
        await collector.register_many({f"bad{n}": bad.at("/", f"bad{n}.test") for n in range(4)})
        await collector.until(lambda: len(bad.requests) == 4)
        mover = await collector.register("mover", "")
        for n in range(5):
            mover = structs.replace(mover, url=bad.at(f"/{n}", "mover.test"), collect_at=collector.clock.now())
            await collector.db.write(lambda conn, moved=mover: services.save(conn, [moved]))  # type: ignore[misc]
            await collector.until(lambda asked=(mover.pk, mover.url): asked in collector.sweep._errands)  # type: ignore[misc]
        assert [url for pk, url in collector.sweep._errands if pk == mover.pk] == [mover.url]


async def test_who_begins_to_answer_late_keeps_a_place_that_nobody_wants_and_is_else_asked_again(place: Place) -> None:
    counting = Counting()
    limits = Limits(at_once=4, patience_s=0.05)
    async with running(counting) as late, running(tells([])) as good, sweeping(place, limits) as collector:
        await collector.register("billing", late.url)
        await collector.until(lambda: counting.most_in_all == 1)
        await collector.pass_time(4)
        assert len(late.requests) == 1
        await collector.register("good", good.url)
        await collector.until_collected("good")
        counting.go.set()
        (found,) = await collector.until_collected("billing")
        assert (found.collect_ok, found.collect_failures, len(late.requests)) == (True, 0, 2)


async def test_a_url_that_has_begun_to_answer_is_not_cut(place: Place) -> None:
    go = asyncio.Event()

    async def begins(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        await go.wait()
        await response.write(b"]")
        return response

    limits = Limits(at_once=4, patience_s=0.05)
    async with running(begins) as slow, running(tells([])) as good, sweeping(place, limits) as collector:
        await collector.register("billing", slow.url)
        await collector.until(lambda: slow.requests)
        await collector.register("good", good.url)
        await collector.pass_time(4)
        assert good.requests == []
        go.set()
        found = await collector.until_collected("billing", "good")
        assert [each.collect_ok for each in found] == [True, True]
        assert len(slow.requests) == 1


async def test_R13_services_that_hang_leave_half_of_their_origin_to_others(place: Place) -> None:
    async def by_path(request: web.Request) -> web.StreamResponse:
        return await (hangs if "bad" in request.path else tells([]))(request)

    async with running(by_path) as service, sweeping(place, whole_s=600) as collector:
        await collector.register_many({f"bad{n}": service.at(f"/bad{n}") for n in range(40)}, **SLOW)
        await collector.until(lambda: len(service.requests) == 2)
        await collector.register("good", service.at("/good"))
        (found,) = await collector.until_collected("good")
        assert found.collect_ok


async def test_R9_a_probe_of_what_refuses_does_not_wait_for_what_hangs(place: Place) -> None:
    async with (
        running(hangs) as bad,
        running(refuses(503)) as refusing,
        sweeping(place, Limits(at_once=8), whole_s=600) as collector,
    ):
        hanging = await collector.register_many({f"bad{n}": bad.at("/", f"bad{n}.test") for n in range(40)}, **SLOW)
        gone = await collector.register("gone", refusing.url, collect_failures=3, collect_ok=False, collect_took_ms=2.0)
        waiting = asyncio.create_task(collector.sweep.probe(hanging))
        answers = await collector.sweep.probe([gone])
        assert answers["gone"].error == "it answered with status 503"
        assert not waiting.done()
        waiting.cancel()


async def test_R9_a_probe_does_not_wait_for_the_slow_lane_and_overtakes_its_own_turn(place: Place) -> None:
    async with (
        running(hangs) as bad,
        running(tells([ONE])) as good,
        sweeping(place, Limits(at_once=8, slow_lane=1), whole_s=30) as collector,
    ):
        await collector.register("bad", bad.url, **SLOW)
        await collector.until(lambda: len(bad.requests) == 1)
        waiting = await collector.register("waiting", good.url, collect_failures=1)
        await collector.pass_time(2)
        assert good.requests == []
        answers = await collector.sweep.probe([waiting])
        assert answers["waiting"].ok
        assert len(good.requests) == 1


async def test_a_service_is_never_asked_twice_at_once(place: Place) -> None:
    counting = Counting()
    async with running(counting) as service, sweeping(place) as collector:
        known = await collector.register("billing", service.url)
        await collector.until(lambda: counting.most_in_all == 1)
        probes = [asyncio.create_task(collector.sweep.probe([known])) for _ in range(5)]
        await collector.pass_time(2)
        counting.go.set()
        assert all(answers["billing"].ok for answers in await asyncio.gather(*probes))
    assert counting.most_in_all == 1
    assert len(service.requests) == 1


async def refuse_writes(monkeypatch: pytest.MonkeyPatch, collector: Collector, reason: str) -> None:
    write = type(collector.db).write

    async def refusing(db: Any, work: Any) -> Any:
        if db is collector.db and reason:
            raise StoreRefused(reason)
        return await write(db, work)

    monkeypatch.setattr(collector.db, "write", refusing.__get__(collector.db))


@pytest.mark.parametrize("answer", [tells([ONE]), refuses(500)])
async def test_while_the_store_refuses_nobody_is_asked_in_a_circle(
    place: Place, monkeypatch: pytest.MonkeyPatch, answer: task_services.Answer
) -> None:
    async with running(answer) as service, sweeping(place) as collector:
        await collector.register("billing", service.url, collect_at=collector.clock.now() + seconds(1))
        await refuse_writes(monkeypatch, collector, "the disk is full")
        await collector.until(lambda: any(part.reason == "the disk is full" for part in collector.parts))
        asked = len(service.requests)
        await collector.pass_time(4)
        assert len(service.requests) == asked == 1
        monkeypatch.undo()
        (found,) = await collector.until_collected("billing")
        assert found.collected_at is not None


async def test_R15_a_refusal_ends_with_the_stores_trouble_also_when_nobody_is_asked_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url, collect_at=collector.clock.now() + seconds(1))
        await refuse_writes(monkeypatch, collector, "the disk is full")
        reason = lambda: next(part.reason for part in collector.parts if part.name == "collector")  # noqa: E731
        await collector.until(lambda: reason() == "the disk is full")
        collector.parts.report("store", "the disk is full")
        await collector.pass_time(1)
        assert reason() == "the disk is full"
        collector.parts.report("store")
        await collector.pass_time(1)
        assert reason() == ""


async def test_a_mistake_of_ours_with_one_service_hinders_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    apply = collection.apply

    async def broken(db: Any, result: Any, zone: Any) -> None:
        if result.service.id == "odd":
            raise LookupError("our own mistake")
        await apply(db, result, zone)

    monkeypatch.setattr(collection, "apply", broken)
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        await collector.register("odd", service.url)
        await collector.until(lambda: "odd failed unexpectedly" in caplog.text)
        await collector.register("billing", service.url)
        await collector.until_collected("billing")


async def test_R168_R178_what_the_page_shows_of_a_refused_url_quotes_nothing(place: Place) -> None:
    async with running(redirects("http://c4n4ry.test/")) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        await collector.register("metadata", "http://169.254.169.254/latest/")
        found = await collector.until_collected("billing", "metadata")
    assert {each.collect_ok for each in found} == {False}
    assert "c4n4ry" not in str(found)
    assert "link-local" in next(each.collect_error for each in found if each.id == "metadata")


async def test_stopping_does_not_wait_for_a_service_that_hangs(place: Place) -> None:
    async with running(hangs) as service:
        async with sweeping(place, whole_s=600) as collector:
            await collector.register("billing", service.url)
            await collector.until(lambda: len(service.requests) == 1)
        await eventually(lambda: all(request.transport is None for request in service.requests))

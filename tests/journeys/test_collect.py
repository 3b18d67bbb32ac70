"""From the answer of a real service to the store: forms, problems, gone, clashes, urls that change. SPEC 4, R12, R48."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from taskdash.actions import intake, liveness
from taskdash.actions import tasks as task_actions
from taskdash.actions.arrivals import Topics
from taskdash.actions.tasks import TaskRequest
from taskdash.model.instants import seconds
from taskdash.model.records import Actor, Message, Service, Task, TaskFields
from taskdash.store import clash_problems, incidents, services, tasks
from taskdash.store.places import Place
from tests import service as task_services
from tests.service import ONE, TWO, a_fetcher, asked, hangs, refuses, running, speaking, streams, tells
from tests.support import NOW, a_task, eventually
from tests.sweeping import Collector, sweeping

MIB = 1024 * 1024


def lines(*records: Any) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records)


async def row(collector: Collector, task_id: str) -> Task:
    task = await collector.task(task_id)
    assert task is not None
    return task


async def collected(collector: Collector, *ids: str) -> list[Service]:
    await collector.sweep.collect_now(ids)
    return await collector.services(*ids)


async def world(collector: Collector) -> list[Any]:
    """All tasks and all events, as they are stored."""

    def all_rows(conn: Any) -> list[Any]:
        return [conn.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("tasks", "events")]

    return await collector.db.read(all_rows)


FORMS = {
    "array": tells([ONE, TWO]),
    "object with tasks": tells({"tasks": [ONE, TWO], "next": ""}),
    "lines": tells(lines(ONE, TWO)),
}


@pytest.mark.parametrize("answer", FORMS.values(), ids=FORMS)
async def test_each_form_of_answer_is_stored(place: Place, answer: task_services.Answer) -> None:
    async with running(answer) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        (found,) = await collector.until_collected("billing")
        assert (found.collect_error, found.collect_problems, found.task_total) == ("", (), 2)
        assert [(await row(collector, key)).status for key in ("133", "132")] == ["running", "finish"]


async def test_one_task_alone_is_an_answer_and_pages_are_one_answer(place: Place) -> None:
    async def two_pages(request: web.Request) -> web.StreamResponse:
        page = {"tasks": [TWO]} if request.query else {"tasks": [ONE], "next": "/tasks?2"}
        return await tells(page)(request)

    async with running(tells(ONE)) as single, running(two_pages) as paged, sweeping(place) as collector:
        await collector.register("single", single.url)
        await collector.until_collected("single")
        assert (await row(collector, "133")).service_id == "single"
        single.answer = tells({"id": "134"})
        await collected(collector, "single")
        await collector.register("paged", paged.url)
        assert (await row(collector, "133")).gone_at is not None
        (found,) = await collector.until_collected("paged")
        assert (found.collect_ok, (await row(collector, "132")).service_id) == (True, "paged")


async def test_a_304_changes_no_task_and_no_event(place: Place) -> None:
    async def conditional(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        return await tells([ONE], ETag='"v1"')(request)

    async with running(conditional) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        before = await world(collector)
        collector.clock.advance(5)
        (found,) = await collected(collector, "billing")
        assert await world(collector) == before
        assert (found.collect_ok, found.collected_at) == (True, collector.clock.now())
    assert [request.headers.get("If-None-Match") for request in service.requests] == [None, '"v1"']


async def test_a_change_of_status_is_one_event_and_a_change_of_words_is_none(place: Place) -> None:
    async with running(tells([ONE, TWO])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        known = len(await collector.history())
        service.answer = tells([ONE | {"status": "failed", "description": "d"}, TWO | {"description": "e"}])
        await collected(collector, "billing")
        (event,) = (await collector.history())[known:]
        assert (event.kind, event.before, event.after) == ("task.changed", {"status": "running"}, {"status": "failed"})
        assert (await row(collector, "132")).description == "e"


async def test_a_wrong_record_is_skipped_and_named_beside_what_the_hints_had_wrong(place: Place) -> None:
    hint = {"id": "billing", "problem": "reserved: method must be GET or POST"}
    wrong = [{"id": 7, "name": "c4n4ry"}, {"id": "8", "status": "x" * 300}, "c4n4ry"]
    async with running(tells([ONE, *wrong])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url, collect_problems=(hint,))
        (found,) = await collector.until_collected("billing")
        assert found.collect_problems[0] == hint
        assert [problem["id"] for problem in found.collect_problems[1:]] == ["7", "8", ""]
        assert "c4n4ry" not in str(found.collect_problems)
        assert (found.collect_ok, found.task_total) == (True, 1)
        service.answer = tells([ONE, TWO])
        (found,) = await collected(collector, "billing")
        assert found.collect_problems == (hint,)


async def test_a_task_that_is_no_longer_named_is_gone_and_comes_back(place: Place) -> None:
    async with running(tells([ONE, TWO])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        service.answer = tells([TWO])
        await collected(collector, "billing")
        assert ((await row(collector, "133")).gone_at, (await row(collector, "133")).status) == (
            collector.clock.now(),
            "running",
        )
        service.answer = tells([ONE, TWO])
        await collected(collector, "billing")
        assert (await row(collector, "133")).gone_at is None
        assert [event.kind for event in await collector.history()][-2:] == ["task.gone", "task.back"]


async def half_of_the_pages(request: web.Request) -> web.StreamResponse:
    return await (refuses(500) if request.query else tells({"tasks": [TWO], "next": "?2"}))(request)


async def half_a_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'[{"id":"132"}]')
    assert request.transport is not None
    request.transport.close()
    return response


BROKEN = {
    "status": refuses(500),
    "half of the pages": half_of_the_pages,
    "half a body": half_a_body,
    "no JSON": tells(b"[{"),
    "twice packed": tells(b"[]", Content_Encoding="gzip, gzip"),
    "hangs": hangs,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_R12_R47_a_failed_or_partial_answer_changes_no_task(place: Place, answer: task_services.Answer) -> None:
    async with running(tells([ONE, TWO])) as service, sweeping(place, whole_s=0.3) as collector:
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        before = await world(collector)
        service.answer = answer
        (found,) = await collected(collector, "billing")
        assert await world(collector) == before
        assert (found.collect_ok, found.collect_failures) == (False, 1)
        assert found.collect_error
        service.answer = tells([ONE, TWO])
        (found,) = await collected(collector, "billing")
        assert (found.collect_ok, found.collect_error, await world(collector)) == (True, "", before)


async def test_R47_a_service_that_resets_the_connection_says_so(place: Place) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with speaking(reset) as url, sweeping(place) as collector:
        await collector.register("billing", url)
        (found,) = await collector.until_collected("billing")
        assert found.collect_ok is False
        assert found.collect_error in {"the connection was reset", "it closed the connection without an answer"}


async def test_a_clash_is_shown_on_both_and_ends_when_the_owner_is_archived(place: Place) -> None:
    theirs = [{"id": "133", "status": "failed"}, {"id": "7"}]
    async with running(tells([ONE])) as first, running(tells(theirs)) as second, sweeping(place) as collector:
        await collector.register("first", first.url)
        await collector.until_collected("first")
        await collector.register("second", second.url)
        await collector.until_collected("second")
        assert ((await row(collector, "133")).service_id, (await row(collector, "133")).status) == ("first", "running")
        both = ["first", "second"]
        assert set(await collector.db.read(lambda conn: clash_problems.of_services(conn, both))) == set(both)
        owner = structs.replace(await collector.service("first"), archived_at=collector.clock.now(), collect_at=None)
        await collector.db.write(lambda conn: services.save(conn, [owner]))
        await collected(collector, "second")
        assert ((await row(collector, "133")).service_id, (await row(collector, "133")).status) == ("second", "failed")
        assert await collector.db.read(lambda conn: clash_problems.of_services(conn, both)) == {}


async def test_an_archived_service_is_asked_no_more_and_its_clash_is_over_until_it_is_back(place: Place) -> None:
    admin = Actor(type="user", id="root", channel="api", role="admin")
    async with (
        running(tells([ONE])) as first,
        running(tells([ONE])) as second,
        sweeping(place) as collector,
    ):
        for name, service in (("first", first), ("second", second)):
            await collector.register(name, service.url)
            await collector.until_collected(name)
        await liveness.archive(collector.db, admin, "first", collector.clock.now())
        asked = len(first.requests)
        await collected(collector, "second")
        await collected(collector, "second")
        assert (await row(collector, "133")).service_id == "second"
        assert len(first.requests) == asked
        both = ["first", "second"]
        assert await collector.db.read(lambda conn: clash_problems.of_services(conn, both)) == {}
        assert await collector.db.read(incidents.clashing) == []
        message = Message("taskdash.services", b'{"id":"first"}', collector.clock.now(), "nsq")
        await intake.store_batch(collector.db, [message], collector.clock.now(), Topics())
        await collected(collector, "first")
        assert set(await collector.db.read(lambda conn: clash_problems.of_services(conn, both))) == set(both)


async def test_each_registration_is_followed_by_a_collection_at_once(place: Place) -> None:
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        await collector.register("billing", service.url, collect_at=collector.clock.now() + seconds(300))
        collector.clock.advance(1)
        await registers(collector, name="Billing", url=service.url)
        registered_at = collector.clock.now()
        await collector.until(lambda: service.requests)
        assert collector.clock.now() - registered_at < seconds(5)


async def test_a_gone_task_that_came_back_over_TCP_goes_again_with_the_same_answer(place: Place) -> None:
    async with running(tells([ONE])) as service, sweeping(place) as collector:
        known = [(None, a_task(id="132", service_id="billing", gone_at=NOW))]
        await collector.db.write(lambda conn: tasks.save(conn, known))
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        request = TaskRequest(
            kind="register", fields=TaskFields(id="132"), actor=Actor(type="connection", id="c", channel="tcp")
        )
        assert await task_actions.apply_batch(collector.db, [request], collector.clock.now()) == [None]
        assert (await row(collector, "132")).gone_at is None
        await collected(collector, "billing")
        assert (await row(collector, "132")).gone_at is not None


async def test_a_task_from_TCP_gets_its_owner_and_a_persons_claim_stands(place: Place) -> None:
    known = [(None, a_task(id="133", user="alice", adrift=True)), (None, a_task(id="132"))]
    sent = [ONE | {"user": "wsg"}, TWO | {"user": "wsg"}]
    async with running(tells(sent)) as service, sweeping(place) as collector:
        await collector.db.write(lambda conn: tasks.save(conn, known))
        await collector.register("billing", service.url)
        await collector.until_collected("billing")
        found = [await row(collector, key) for key in ("133", "132")]
    assert [(task.service_id, task.user, task.adrift) for task in found] == [
        ("billing", "alice", False),
        ("billing", "wsg", False),
    ]


async def registers(collector: Collector, **told: Any) -> None:
    """The service says so itself, as over NSQ."""
    now = collector.clock.now()
    message = Message("taskdash.services", json.dumps({"id": "billing", **told}).encode(), now, "nsq")
    await intake.store_batch(collector.db, [message], now, Topics())


async def test_a_new_url_is_asked_at_once_although_the_old_one_still_hangs(place: Place) -> None:
    async with (
        running(hangs) as old,
        running(tells([ONE])) as new,
        sweeping(place, whole_s=60) as collector,
    ):
        await registers(collector, url=old.url)
        await collector.until(lambda: len(old.requests) == 1)
        collector.clock.advance(1)
        await registers(collector, url=new.url)
        (found,) = await collector.until_collected("billing")
        assert (found.collect_ok, found.url, len(old.requests)) == (True, new.url, 1)
        assert await collector.task("133") is not None


async def test_a_failure_at_the_old_url_is_not_noted_on_the_new_one(place: Place) -> None:
    go = asyncio.Event()

    async def fails_late(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return await refuses(500)(request)

    async with running(fails_late) as old, running(tells([ONE])) as new, sweeping(place) as collector:
        await registers(collector, url=old.url)
        await collector.until(lambda: len(old.requests) == 1)
        collector.clock.advance(1)
        await registers(collector, url=new.url)
        await collector.until_collected("billing")
        go.set()
        await collector.pass_time(3)
        found = await collector.service("billing")
        assert (found.collect_ok, found.collect_failures, found.collect_error) == (True, 0, "")


async def test_a_service_that_comes_back_while_it_is_asked_is_asked_again_at_once(place: Place) -> None:
    go = asyncio.Event()

    async def was_down(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return await refuses(503)(request)

    async with running(was_down) as service, sweeping(place) as collector:
        await collector.register("billing", service.url, state="down", collect_failures=9)
        await collector.until(lambda: len(service.requests) == 1)
        collector.clock.advance(1)
        began = collector.clock.now()
        await registers(collector, url=service.url)
        service.answer = tells([ONE])
        go.set()

        async def has_answered() -> bool:
            return (await collector.service("billing")).collect_ok is True

        await collector.until(has_answered)
        assert (await collector.service("billing")).collected_at - began < 5 * 10**9  # type: ignore[operator]


async def test_R48_refusing_too_many_tasks_takes_little_memory() -> None:
    records = [json.dumps({"id": f"task-{n}", "name": "n" * 20, "description": "d" * 60}).encode() for n in range(100_001)]
    body = b"[" + b",".join(records) + b"]"
    del records
    pieces = [body[start : start + 64 * 1024] for start in range(0, len(body), 64 * 1024)]
    async with running(streams(pieces)) as service, a_fetcher(whole_s=60) as fetcher:
        tracemalloc.start()
        try:
            answer = await fetcher.fetch(asked(service.url))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert answer.error == "it names more than 100000 tasks"
    assert peak < 48 * MIB


async def test_origins_that_nobody_wants_any_more_are_forgotten(place: Place) -> None:
    async with running(tells([])) as service, sweeping(place) as collector:
        ids = [f"s{n}" for n in range(50)]
        for service_id in ids:
            await collector.register(service_id, service.at("/", f"{service_id}.test"))
        await collector.until_collected(*ids)
        await eventually(lambda: not collector.sweep._lanes._origins and not collector.sweep._errands)

"""What answers make of the store: SPEC 4, RELIABILITY R12, R51, over a real store."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from taskdash.actions import collection
from taskdash.actions.collection import Result
from taskdash.errors import StoreRefused
from taskdash.model.instants import in_seconds, seconds
from taskdash.model.records import Event, Service, Task, TaskFields
from taskdash.store import clash_problems, collected, events, services, tasks
from taskdash.store.database import Database
from taskdash.wire.metadata import Answer
from tests.support import NOW, a_service, a_task

URL = "http://127.0.0.1:8080/tasks"
LATER = NOW + seconds(15)


async def registered(db: Database, **fields: Any) -> Service:
    service = a_service(**{"url": URL, "collect_at": NOW, **fields})
    await db.write(lambda conn: services.save(conn, [service]))
    return await stored(db, service.id)


async def stored(db: Database, service_id: str = "billing") -> Service:
    return (await db.read(lambda conn: services.load_many(conn, [service_id])))[service_id]


async def task(db: Database, task_id: str = "133") -> Task | None:
    return await db.read(lambda conn: tasks.load(conn, task_id))


async def history(db: Database) -> list[Event]:
    return await db.read(lambda conn: events.after(conn, 0))


def an_answer(*records: dict[str, str], **fields: Any) -> Answer:
    known = {"ok": True, "url": URL, "method": "GET", "digest": "d1", "etag": '"v1"', "took_ms": 3.0}
    return Answer(**{**known, "tasks": tuple(TaskFields(**record) for record in records), **fields})


async def answered(db: Database, answer: Answer, service_id: str = "billing", at: int = LATER) -> Service:
    """The service after that answer to an asking of it as it is stored."""
    await collection.apply(db, Result(await stored(db, service_id), answer, at), UTC)
    return await stored(db, service_id)


ONE = {"id": "133", "name": "zxf", "status": "running"}
TWO = {"id": "132", "name": "lxq", "status": "finish"}


async def test_an_answer_is_stored_with_its_bookkeeping(db: Database) -> None:
    await registered(db, collect_failures=2, collect_error="no", collect_error_at=NOW, collect_ok=False)
    service = await answered(db, an_answer(ONE, TWO, last_modified="today"))
    assert (service.collect_ok, service.collected_at, service.collect_ok_at) == (True, LATER, LATER)
    assert (service.collect_error, service.collect_error_at, service.collect_failures) == ("", None, 0)
    assert (service.collect_etag, service.collect_last_modified, service.collect_digest) == ('"v1"', "today", "d1")
    assert (service.method, service.collect_took_ms, service.task_total) == ("GET", 3.0, 2)
    assert service.fresh_until == LATER + 3 * seconds(15)
    assert service.collect_at is not None
    assert LATER < service.collect_at <= LATER + seconds(15)
    found = await task(db)
    assert found is not None
    assert (found.service_id, found.status, found.created_at) == ("billing", "running", LATER)
    assert [event.kind for event in await history(db)] == ["task.registered"] * 2


async def test_an_unchanged_answer_writes_no_task_and_no_event(db: Database) -> None:
    await registered(db)
    before = await answered(db, an_answer(ONE))
    seen = (await task(db), await history(db))
    after = await answered(db, an_answer(is_unchanged=True, etag="", digest=""), at=LATER + seconds(15))
    assert (await task(db), await history(db)) == seen
    assert (after.collect_digest, after.collect_etag) == (before.collect_digest, before.collect_etag)
    assert after.fresh_until == LATER + seconds(60)


async def test_R12_a_failed_asking_changes_no_task_and_keeps_since_when(db: Database) -> None:
    await registered(db)
    await answered(db, an_answer(ONE))
    seen = (await task(db), await history(db))
    no = Answer(ok=False, url=URL, error="the connection was refused", took_ms=1.0)
    first = await answered(db, no, at=LATER + seconds(15))
    second = await answered(db, no, at=LATER + seconds(30))
    assert (await task(db), await history(db)) == seen
    assert (second.collect_ok, second.collect_error, second.collect_failures) == (False, "the connection was refused", 2)
    assert first.collect_error_at == second.collect_error_at == LATER + seconds(15)
    assert (second.collect_ok_at, second.fresh_until, second.collect_digest) == (LATER, LATER + seconds(45), "d1")


async def test_what_a_complete_answer_no_longer_names_is_gone_and_comes_back(db: Database) -> None:
    await registered(db)
    await answered(db, an_answer(ONE, TWO))
    service = await answered(db, an_answer(TWO, digest="d2"), at=LATER + 1)
    gone = await task(db)
    assert gone is not None
    assert (gone.gone_at, gone.status, service.task_total) == (LATER + 1, "running", 1)
    await answered(db, an_answer(ONE, TWO, digest="d3"), at=LATER + 2)
    back = await task(db)
    assert back is not None
    assert back.gone_at is None
    assert [event.kind for event in await history(db)][2:] == ["task.gone", "task.back"]


@pytest.mark.parametrize("fields", [{"is_complete": False}, {"named": frozenset({"133"})}])
async def test_a_task_whose_record_is_wrong_is_not_gone(db: Database, fields: dict[str, Any]) -> None:
    await registered(db)
    await answered(db, an_answer(ONE, TWO))
    await answered(db, an_answer(TWO, digest="d2", **fields))
    found = await task(db)
    assert found is not None
    assert found.gone_at is None


async def test_problems_of_an_answer_stand_beside_those_of_the_registration(db: Database) -> None:
    hint = {"id": "billing", "problem": "reserved: method must be GET or POST"}
    await registered(db, collect_problems=(hint,))
    wrong = {"id": "7", "problem": "name: expected `str`, got `null`"}
    service = await answered(db, an_answer(ONE, problems=(wrong,)))
    assert service.collect_problems == (hint, wrong)
    service = await answered(db, an_answer(ONE, digest="d2"))
    assert service.collect_problems == (hint,)


async def test_a_clash_is_seen_by_both_and_overwrites_nothing(db: Database) -> None:
    await registered(db)
    await registered(db, id="etl", url=URL)
    await answered(db, an_answer(ONE))
    second = await answered(db, an_answer({"id": "133", "status": "failed"}, TWO), "etl")
    found = await task(db)
    assert found is not None
    assert (found.service_id, found.status) == ("billing", "running")
    shown = await db.read(lambda conn: clash_problems.of_services(conn, ["billing", "etl"]))
    assert {key: [task_id for task_id, _ in told] for key, told in shown.items()} == {"billing": ["133"], "etl": ["133"]}
    assert (second.collect_digest, second.collect_etag) == ("", ""), "the same answer must be applied again"


async def test_a_clash_ends_when_the_owner_is_archived_and_the_task_passes_on(db: Database) -> None:
    await registered(db)
    await registered(db, id="etl", url=URL)
    await answered(db, an_answer(ONE))
    await answered(db, an_answer(ONE), "etl")
    owner = structs.replace(await stored(db), archived_at=LATER)
    await db.write(lambda conn: services.save(conn, [owner]))
    second = await answered(db, an_answer(ONE), "etl")
    found = await task(db)
    assert found is not None
    assert found.service_id == "etl"
    assert await db.read(lambda conn: clash_problems.of_services(conn, ["billing", "etl"])) == {}
    assert second.collect_digest == "d1"
    assert [event.kind for event in await history(db)] == ["task.registered", "task.transferred"]


async def test_a_clash_ends_when_the_second_service_no_longer_names_the_task(db: Database) -> None:
    await registered(db)
    await registered(db, id="etl", url=URL)
    await answered(db, an_answer(ONE))
    await answered(db, an_answer(ONE), "etl")
    await answered(db, an_answer(TWO), "etl")
    assert await db.read(lambda conn: clash_problems.of_services(conn, ["billing", "etl"])) == {}


async def test_a_task_registered_over_tcp_gets_its_owner(db: Database) -> None:
    await registered(db)
    await db.write(lambda conn: tasks.save(conn, [(None, a_task(adrift=True, user="alice"))]))
    service = await answered(db, an_answer(ONE | {"user": "wsg"}))
    found = await task(db)
    assert found is not None
    assert (found.service_id, found.adrift, found.user, found.version) == ("billing", False, "alice", 1)
    assert service.task_total == 1


async def test_an_answer_from_before_the_url_changed_changes_nothing(db: Database) -> None:
    asked = await registered(db)
    await db.write(lambda conn: services.save(conn, [structs.replace(asked, url="http://127.0.0.1:9/", collect_at=NOW)]))
    await collection.apply(db, Result(asked, an_answer(ONE), LATER), UTC)
    await collection.note(db, [Result(asked, Answer(ok=False, url=URL, error="no"), LATER)])
    service = await stored(db)
    assert (service.collect_at, service.collect_ok, service.collect_digest) == (NOW, None, "")
    assert await task(db) is None


@pytest.mark.parametrize("answer", [an_answer(ONE), an_answer(is_unchanged=True), Answer(ok=False, url=URL, error="no")])
async def test_what_was_asked_before_a_registration_does_not_put_off_the_asking_after_it(db: Database, answer: Answer) -> None:
    asked = await registered(db, collect_failures=6)
    await db.write(lambda conn: services.save(conn, [structs.replace(asked, collect_at=NOW + 1)]))
    await collection.apply(db, Result(asked, answer, LATER), UTC)
    service = await stored(db)
    assert (service.collect_at, service.collected_at) == (NOW + 1, LATER)


async def test_a_former_owner_that_comes_back_is_told_that_its_task_passed_on(db: Database) -> None:
    await registered(db)
    await registered(db, id="etl", url=URL)
    owner = await answered(db, an_answer(ONE))
    await db.write(lambda conn: services.save(conn, [structs.replace(owner, archived_at=LATER)]))
    await answered(db, an_answer(ONE), "etl")
    back = structs.replace(await stored(db), archived_at=None)
    assert (back.collect_digest, back.collect_etag) == ("", ""), "its known answer must be applied again"
    await db.write(lambda conn: services.save(conn, [back]))
    await answered(db, an_answer(ONE))
    shown = await db.read(lambda conn: clash_problems.of_services(conn, ["billing", "etl"]))
    assert set(shown) == {"billing", "etl"}


@pytest.mark.parametrize("state", ["down", "late", "unknown"])
async def test_a_service_that_is_overdue_and_answers_is_judged_again_at_once(db: Database, state: str) -> None:
    await registered(db, state=state, due_at=LATER + seconds(600))
    assert (await answered(db, Answer(ok=False, url=URL, error="no"))).due_at == LATER + seconds(600)
    assert (await answered(db, an_answer(ONE))).due_at == LATER
    assert (await answered(db, an_answer(is_unchanged=True), at=LATER + 1)).due_at == LATER + 1


async def test_an_answer_of_a_service_that_was_removed_leaves_no_orphan(db: Database) -> None:
    asked = await registered(db)
    await db.write(lambda conn: services.remove(conn, asked))
    await collection.apply(db, Result(asked, an_answer(ONE), LATER), UTC)
    assert await task(db) is None


class Interrupted:
    """A store that is cut off after `left` more transactions."""

    def __init__(self, db: Database, left: int) -> None:
        self._db = db
        self._left = left

    async def write(self, work: Any) -> Any:
        if not self._left:
            raise StoreRefused("cut off")
        self._left -= 1
        return await self._db.write(work)


def many(count: int, **fields: str) -> tuple[dict[str, str], ...]:
    return tuple({"id": f"t{n}", **fields} for n in range(count))


async def test_R51_a_large_answer_is_applied_in_steps_and_the_next_collection_finishes_what_is_left(db: Database) -> None:
    await registered(db)
    await answered(db, an_answer(*many(1_700, status="waiting")))
    answer = an_answer(*many(1_100, status="running"), digest="d2")
    for cut in range(4):
        with pytest.raises(StoreRefused):
            await collection.apply(Interrupted(db, cut), Result(await stored(db), answer, LATER + cut), UTC)  # type: ignore[arg-type]
        kept = await stored(db)
        assert (kept.collect_digest, kept.collect_ok_at) == ("d1", LATER), "the last step did not come"
        changed = await db.read(lambda conn: tasks.load_many(conn, [f"t{n}" for n in range(1_700)]))
        running = [t for t in changed.values() if t.status == "running"]
        assert len(running) == min(500 * cut, 1_100)
    done = await answered(db, answer, at=LATER + 9)
    assert (done.collect_digest, done.task_total) == ("d2", 1_100)


async def test_gone_goes_in_steps_too(db: Database) -> None:
    await registered(db)
    await answered(db, an_answer(*many(1_201)))
    sizes: list[int] = []
    on_save = tasks.save

    def counting(conn: Any, changes: Any) -> None:
        sizes.append(len(changes))
        on_save(conn, changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "save", counting)
        service = await answered(db, an_answer(digest="d2"))
    assert [size for size in sizes if size] == [500, 500, 201]
    assert (service.task_total, service.collect_digest) == (0, "d2")


async def test_due_leaves_out_what_is_in_hand_and_what_cannot_be_read(db: Database) -> None:
    pks = [(await registered(db, id=f"s{n}", collect_at=NOW - n)).pk for n in range(4)]
    await registered(db, id="later", collect_at=LATER)
    await registered(db, id="without", url="", collect_at=None)
    await db.write(lambda conn: conn.exec_driver_sql("UPDATE services SET collect_problems = 'broken' WHERE id = 's1'"))
    due = await db.read(lambda conn: collected.due(conn, NOW, {(pks[3], URL)}, 10))
    assert [service.id for service in due] == ["s2", "s0"]
    moved = await db.read(lambda conn: collected.due(conn, NOW, {(pks[3], "http://127.0.0.1:9/")}, 10))
    assert [service.id for service in moved] == ["s3", "s2", "s0"], "what is asked is another url"
    assert [service.id for service in await db.read(lambda conn: collected.due(conn, NOW, set(), 1))] == ["s3"]


INTERVALS = st.floats(1, 86_400)


@given(st.text(min_size=1, max_size=20), INTERVALS, st.integers(0, 10**6))
def test_the_next_collection_is_within_one_interval_and_on_the_services_own_beat(
    name: str, interval: float, later: int
) -> None:
    service = a_service(id=name, collect_interval_s=interval)
    first = collection.next_at(service, NOW + later)
    assert NOW + later < first <= NOW + later + seconds(interval)
    assert collection.next_at(service, first) == first + seconds(interval)


def test_R107_services_do_not_fall_on_the_same_instant() -> None:
    at = [collection.next_at(a_service(id=f"service-{n}"), NOW) - NOW for n in range(1_500)]
    a_second = [len([each for each in at if second <= in_seconds(each) < second + 1]) for second in range(15)]
    assert max(a_second) < 2 * 1_500 / 15


@given(INTERVALS, st.integers(1, 10_000))
def test_failures_are_tried_again_after_the_interval_then_ever_later_up_to_five_minutes(interval: float, failures: int) -> None:
    service = a_service(collect_interval_s=interval)
    pause = collection.pause_s(service, failures)
    assert 0.9 * min(interval, 300) <= pause <= 300
    assert pause <= collection.pause_s(service, failures + 1)

"""What a service answered, into the store. SPEC 4: one function, one transaction; a large answer in steps of 500 tasks.

Law: a failed asking changes no task; an unchanged answer writes no task; `gone` and the validator are written with the last
step, so that what a kill interrupts is finished by the next collection (RELIABILITY R12, R51). What was asked before the
url changed changes nothing; what was asked before a registration does not put off the asking that follows it.
"""

import zlib
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service, TaskFields
from taskdash.rules import reconcile
from taskdash.store import collected, events, services, tasks
from taskdash.store.database import Store
from taskdash.store.rows import to_json
from taskdash.wire.metadata import Answer

STEP = 500
MOST_PROBLEMS = 100
LONGEST_PAUSE_S = 300.0
FRESH_INTERVALS = 3
_DOUBLINGS = 16
_OVERDUE = frozenset({"down", "late", "unknown"})


class Result(Struct, frozen=True):
    """One asking: the service as it was asked, what came, and when."""

    service: Service
    answer: Answer
    at: Instant


async def apply(db: Store, result: Result, zone: tzinfo) -> None:
    """Store the tasks of a good, changed answer, and the result on the service. Raises StoreRefused."""
    if not result.answer.ok or result.answer.is_unchanged:
        await note(db, [result])
        return
    whole = _Whole(result, zone)
    while not await db.write(whole.store_some):
        whole.go_on()


class _Whole:
    """A changed answer on its way into the store; `store_some` may be run again after a failure."""

    def __init__(self, result: Result, zone: tzinfo) -> None:
        self._result = result
        self._zone = zone
        self._steps = list(_steps(result.answer.tasks))
        self._next = 0
        self._missing: list[str] | None = None

    def go_on(self) -> None:
        """The step before is durable."""
        self._next += 1
        self._missing = self._missing and self._missing[STEP:]

    def store_some(self, conn: Connection) -> bool:
        """The next step; after the last one, what is gone, a step at a time. True when all of it is stored."""
        if not collected.is_current(conn, self._result.service):
            return True
        if self._next < len(self._steps):
            self._store_step(conn, self._steps[self._next])
        if self._next < len(self._steps) - 1 or self._mark_gone(conn):
            return False
        self._finish(conn)
        return True

    def _store_step(self, conn: Connection, step: Sequence[TaskFields]) -> None:
        service_id, now = self._result.service.id, self._result.at
        ids = [record.id for record in step]
        stored = tasks.load_many(conn, ids)
        others = {task.service_id for task in stored.values()} - {service_id}
        outcome = reconcile.collected(service_id, step, stored, collected.released(conn, others), now, self._zone)
        _save(conn, outcome)
        collected.set_clashes(conn, service_id, ids, outcome.clashes, now)
        collected.forget_validators(conn, {before.service_id for before, _ in outcome.changes if before} - {"", service_id})

    def _mark_gone(self, conn: Connection) -> bool:
        """A step of them; True when more are left. They are looked for once: with 100,000 tasks that takes a while."""
        if self._missing is None:
            self._missing = self._missing_ids(conn)
        some = tasks.load_many(conn, self._missing[:STEP])
        _save(conn, reconcile.vanished(self._result.service.id, some.values(), self._result.at))
        return len(self._missing) > STEP

    def _missing_ids(self, conn: Connection) -> list[str]:
        answer = self._result.answer
        if not answer.is_complete:
            return []
        named = {task.id for task in answer.tasks} | answer.named
        return [task_id for task_id in collected.listed_ids(conn, self._result.service.id) if task_id not in named]

    def _finish(self, conn: Connection) -> None:
        service, answer = self._result.service, self._result.answer
        collected.forget_clashes_but(conn, service.id, {task.id for task in answer.tasks})
        if collected.has_clashes(conn, service.id):
            # what clashes now may be free next time, so that the same answer must not count as known
            answer = structs.replace(answer, etag="", last_modified="", digest="")
        collected.note(conn, [_changed(conn, structs.replace(self._result, answer=answer))])
        _look_again(conn, [self._result])


def _save(conn: Connection, outcome: reconcile.Outcome) -> None:
    tasks.save(conn, outcome.changes)
    events.append(conn, outcome.events)


def _steps(found: Sequence[TaskFields]) -> Iterator[Sequence[TaskFields]]:
    for start in range(0, len(found), STEP):
        yield found[start : start + STEP]


async def note(db: Store, results: Sequence[Result]) -> None:
    """Failed and unchanged askings, on their services: one transaction, one statement a kind. Raises StoreRefused."""

    def change(conn: Connection) -> None:
        collected.note(conn, [_failed(result) for result in results if not result.answer.ok])
        collected.note(conn, [_good(result) for result in results if result.answer.ok])
        _look_again(conn, results)

    await db.write(change)


def _look_again(conn: Connection, results: Sequence[Result]) -> None:
    """Liveness judges at once what answers although it was overdue, and what its url alone speaks for."""
    revived = [r.service.pk for r in results if r.answer.ok and (r.service.state in _OVERDUE or _is_new_by_url(r.service))]
    collected.look_again(conn, revived, max((r.at for r in results), default=0))


def _is_new_by_url(service: Service) -> bool:
    return service.state == "new" and not service.interval_s


def _failed(result: Result) -> dict[str, Any]:
    service = result.service
    failures = service.collect_failures + 1
    return {
        **_asked(result),
        "collect_ok": False,
        "collect_error": result.answer.error,
        "collect_error_at": service.collect_error_at or result.at,
        "collect_failures": failures,
        "collect_at": result.at + seconds(pause_s(service, failures)),
    }


def pause_s(service: Service, failures: int) -> float:
    """Until the next try: the interval, then twice as long each time, at most 5 min; spread a little by a hash of the id."""
    pause = min(LONGEST_PAUSE_S, service.collect_interval_s * 2.0 ** min(failures - 1, _DOUBLINGS))
    return pause * (1 - 0.1 * (hash_of(service.id) % 1_000) / 1_000)


def _changed(conn: Connection, result: Result) -> dict[str, Any]:
    answer = result.answer
    return {
        **_good(result),
        "collect_problems": to_json(_problems(conn, result)),
        "collect_etag": answer.etag,
        "collect_last_modified": answer.last_modified,
        "collect_digest": answer.digest,
    }


def _problems(conn: Connection, result: Result) -> list[dict[str, str]]:
    """Those of the answer, beside what a registration's hints had wrong."""
    known = services.load(conn, result.service.id)
    of_hints = [p for p in (known.collect_problems if known else ()) if p["problem"].startswith("reserved: ")]
    return [*of_hints, *result.answer.problems][: MOST_PROBLEMS + 1]


def _asked(result: Result) -> dict[str, Any]:
    return {
        "b_pk": result.service.pk,
        "b_url": result.service.url,
        "b_collect_at": result.service.collect_at,
        "collected_at": result.at,
        "collect_took_ms": result.answer.took_ms,
    }


def _good(result: Result) -> dict[str, Any]:
    service = result.service
    return {
        **_asked(result),
        "collect_ok": True,
        "collect_ok_at": result.at,
        "collect_error": "",
        "collect_error_at": None,
        "collect_failures": 0,
        "method": result.answer.method or service.method,
        "fresh_until": result.at + seconds(FRESH_INTERVALS * service.collect_interval_s),
        "collect_at": next_at(service, result.at),
    }


def next_at(service: Service, now: Instant) -> Instant:
    """The next instant of the service's own beat, which a hash of its id sets: services do not fall on the same instant."""
    interval = seconds(service.collect_interval_s)
    offset = hash_of(service.id) % interval
    return now - (now - offset) % interval + interval


def hash_of(text: str) -> int:
    """The same number for the same text in every process."""
    return zlib.crc32(text.encode()) << 32 | zlib.adler32(text.encode())

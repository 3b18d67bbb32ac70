"""What a service answered, into the store. SPEC 4: one function, one transaction; a large answer in steps of 500 tasks.

Law: a failed asking changes no task; an unchanged answer writes no task; `gone` and the validator are written with the last
step, so that what a kill interrupts is finished by the next collection (RELIABILITY R12, R51).
"""

import zlib
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service, TaskFields
from taskdash.rules import reconcile
from taskdash.store import collected, events, services, tasks
from taskdash.store.database import Database
from taskdash.store.rows import to_json
from taskdash.wire.metadata import Answer

STEP = 500
MOST_PROBLEMS = 100
LONGEST_PAUSE_S = 300.0
FRESH_INTERVALS = 3


class Result(Struct, frozen=True):
    """One asking: the service as it was asked, what came, and when."""

    service: Service
    answer: Answer
    at: Instant


async def apply(db: Database, result: Result, zone: tzinfo) -> None:
    """Store the tasks of a good, changed answer, and the result on the service. Raises StoreRefused."""
    service, answer = result.service, result.answer
    if answer.ok and not answer.is_unchanged:
        for step in _steps(answer.tasks):
            await db.write(partial(_store_step, service=service, step=step, now=result.at, zone=zone))
        while answer.is_complete and await db.write(lambda conn: _mark_gone(conn, service, answer, result.at)) == STEP:
            continue
        await db.write(lambda conn: collected.forget_clashes_but(conn, service.id, {task.id for task in answer.tasks}))
    await note(db, [result])


def _steps(found: Sequence[TaskFields]) -> Iterator[Sequence[TaskFields]]:
    for start in range(0, len(found), STEP):
        yield found[start : start + STEP]


def _store_step(conn: Connection, *, service: Service, step: Sequence[TaskFields], now: Instant, zone: tzinfo) -> None:
    ids = [record.id for record in step]
    stored = tasks.load_many(conn, ids)
    others = {task.service_id for task in stored.values()} - {service.id}
    outcome = reconcile.collected(service.id, step, stored, collected.released(conn, others), now, zone)
    tasks.save(conn, outcome.changes)
    events.append(conn, outcome.events)
    collected.set_clashes(conn, service.id, ids, outcome.clashes, now)


def _mark_gone(conn: Connection, service: Service, answer: Answer, now: Instant) -> int:
    named = {task.id for task in answer.tasks} | answer.named
    missing = [task_id for task_id in collected.listed_ids(conn, service.id) if task_id not in named][:STEP]
    outcome = reconcile.vanished(service.id, tasks.load_many(conn, missing).values(), now)
    tasks.save(conn, outcome.changes)
    events.append(conn, outcome.events)
    return len(outcome.changes)


async def note(db: Database, results: Sequence[Result]) -> None:
    """The results of many askings, on their services: one transaction, one statement a kind. Raises StoreRefused."""

    def change(conn: Connection) -> None:
        for kind in (_failed, _unchanged, _changed):
            rows = [row for result in results if (row := kind(conn, result)) is not None]
            collected.note(conn, rows)
        revived = [r.service.pk for r in results if r.answer.ok and r.service.state in {"down", "late", "unknown"}]
        collected.look_again(conn, revived, max((r.at for r in results), default=0))

    await db.write(change)


def _failed(_conn: Connection, result: Result) -> dict[str, Any] | None:
    service, answer = result.service, result.answer
    if answer.ok:
        return None
    failures = service.collect_failures + 1
    return {
        **_asked(result),
        "collect_ok": False,
        "collect_error": answer.error,
        "collect_error_at": service.collect_error_at or result.at,
        "collect_failures": failures,
        "collect_at": result.at + seconds(_pause_s(service, failures)),
    }


def _pause_s(service: Service, failures: int) -> float:
    """Twice as long each time, up to 5 minutes; never shorter than the interval."""
    longest = max(LONGEST_PAUSE_S, service.collect_interval_s)
    return min(longest, service.collect_interval_s * 2.0 ** min(failures - 1, 16))


def _unchanged(_conn: Connection, result: Result) -> dict[str, Any] | None:
    return _good(result) if result.answer.ok and result.answer.is_unchanged else None


def _changed(conn: Connection, result: Result) -> dict[str, Any] | None:
    answer = result.answer
    if not answer.ok or answer.is_unchanged:
        return None
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
    return [*of_hints, *result.answer.problems][:MOST_PROBLEMS]


def _asked(result: Result) -> dict[str, Any]:
    return {
        "b_pk": result.service.pk,
        "b_url": result.service.url,
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

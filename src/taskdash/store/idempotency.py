"""Answers kept by Idempotency-Key for 24 hours (SPEC 8).

A row without status is a request that still runs, or one whose end could not be stored: only the instance that runs it knows
which. Once that instance is gone the key is free again; what it may still tell of its request then changes nothing.
"""

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from taskdash.model.instants import Instant, seconds
from taskdash.store import instances
from taskdash.store.tables import idempotency

KEPT_S = 86_400.0
i = idempotency.c


class Kept(Struct, frozen=True):
    """What is known under a key."""

    request_digest: str
    status: int | None
    answer: bytes | None


class Run(Struct, frozen=True):
    """A request under a key, the instance that runs it, and when it began."""

    key: str
    instance: str
    at: Instant


def begin(conn: Connection, run: Run, request_digest: str, *, runs: bool) -> Kept | None:
    """None when the key is ours now; else what it stands for already. `runs`: a request with this key is under way here."""
    row = conn.execute(
        select(i.request_digest, i.status, i.answer, i.instance).where(i.key == run.key, i.at > run.at - seconds(KEPT_S))
    ).first()
    if row and (row.status is not None or (runs if row.instance == run.instance else row.instance in instances.alive(conn))):
        return Kept(row.request_digest, row.status, row.answer)
    conn.execute(delete(idempotency).where(i.key == run.key))
    conn.execute(insert(idempotency), [{**structs.asdict(run), "request_digest": request_digest}])
    return None


def finish(conn: Connection, run: Run, status: int, answer: bytes) -> None:
    """Keep the answer."""
    conn.execute(update(idempotency).where(*_of(run)).values(status=status, answer=answer))


def forget(conn: Connection, run: Run) -> None:
    """The request came to nothing: a repeat runs anew."""
    conn.execute(delete(idempotency).where(*_of(run)))


def _of(run: Run) -> tuple[ColumnElement[bool], ...]:
    """The row of this run, and not that of a later one."""
    return i.key == run.key, i.instance == run.instance, i.at == run.at


def purge(conn: Connection, now: Instant) -> None:
    """Drop what is older than 24 hours."""
    conn.execute(delete(idempotency).where(i.at <= now - seconds(KEPT_S)))

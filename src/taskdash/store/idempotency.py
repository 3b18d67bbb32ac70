"""Answers kept by Idempotency-Key for 24 hours (SPEC 8).

A row without status is a request that still runs, or one whose end could not be stored: only who runs requests knows which.
"""

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from taskdash.model.instants import Instant, seconds
from taskdash.store.tables import idempotency

KEPT_S = 86_400.0


class Kept(Struct, frozen=True):
    """What is known under a key."""

    request_digest: str
    status: int | None
    answer: bytes | None


def begin(conn: Connection, key: str, request_digest: str, now: Instant, *, runs: bool) -> Kept | None:
    """None when the key is ours now; else what it stands for already. `runs`: a request with this key is under way."""
    row = conn.execute(
        select(idempotency.c.request_digest, idempotency.c.status, idempotency.c.answer, idempotency.c.at).where(
            idempotency.c.key == key
        )
    ).first()
    if row and row.at > now - seconds(KEPT_S) and (runs or row.status is not None):
        return Kept(row.request_digest, row.status, row.answer)
    forget(conn, key)
    conn.execute(insert(idempotency), [{"key": key, "request_digest": request_digest, "at": now}])
    return None


def finish(conn: Connection, key: str, status: int, answer: bytes) -> None:
    """Keep the answer."""
    conn.execute(update(idempotency).where(idempotency.c.key == key).values(status=status, answer=answer))


def forget(conn: Connection, key: str) -> None:
    """The request came to nothing: a repeat runs anew."""
    conn.execute(delete(idempotency).where(idempotency.c.key == key))


def purge(conn: Connection, now: Instant) -> None:
    """Drop what is older than 24 hours."""
    conn.execute(delete(idempotency).where(idempotency.c.at <= now - seconds(KEPT_S)))

"""Tries to sign in, counted in buckets that hold for all instances. No decisions; bounded by `make_room`."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from taskdash.model.instants import Instant, seconds
from taskdash.rules.throttle import FORGET_S, Bucket
from taskdash.store.elements import upsert
from taskdash.store.rows import Shape
from taskdash.store.tables import tries

KEPT = 9_000
"""So many buckets stay when room is made."""
_BUCKETS = Shape(Bucket, tries)
_VALUES = ("tries", "since", "last_at", "next_turn")


def load(conn: Connection, keys: Sequence[str]) -> dict[str, Bucket]:
    """Those that there are, by key."""
    return {bucket.key: bucket for bucket in _BUCKETS.load_many(conn, tries.c.key, keys)}


def save(conn: Connection, changed: Sequence[Bucket]) -> None:
    """These replace what was known; one without tries is forgotten."""
    kept = [_BUCKETS.row_of(bucket) for bucket in changed if bucket.tries]
    gone = [bucket.key for bucket in changed if not bucket.tries]
    if kept:
        new = upsert(tries)
        conn.execute(
            new.on_conflict_do_update(index_elements=["key"], set_={name: new.excluded[name] for name in _VALUES}), kept
        )
    if gone:
        conn.execute(delete(tries).where(tries.c.key.in_(gone)))


def make_room(conn: Connection, now: Instant) -> None:
    """Forget what is old, and of more than KEPT those that were used longest ago."""
    conn.execute(delete(tries).where(tries.c.last_at < now - seconds(FORGET_S)))
    over = select(tries.c.last_at).order_by(tries.c.last_at.desc()).offset(KEPT).limit(1)
    if (at := conn.execute(over).scalar()) is not None:
        conn.execute(delete(tries).where(tries.c.last_at <= at))

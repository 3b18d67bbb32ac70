"""A try to sign in: counted before the password is looked at, forgiven when it was right. RELIABILITY R152.

Buckets lie in the store and are dated by its clock, so that a try at one instance counts at all of them, and over a restart.
"""

from sqlalchemy import Connection

from taskdash.errors import TooMany
from taskdash.model.instants import Instant
from taskdash.rules import throttle
from taskdash.rules.throttle import Begun, Caller, TooSoon
from taskdash.store import tries
from taskdash.store.database import Database
from taskdash.store.dialect import of


async def begin(db: Database, caller: Caller) -> float:
    """Count a try; the seconds it has to wait for its turn. Raises TooMany when it comes too soon, StoreRefused.

    What comes too soon anyway is turned away by a read: a storm of tries does not keep the writer from its work.
    """
    await db.read(lambda conn: _decided(conn, caller, of(conn).now(conn)))
    return await db.write(lambda conn: _count(conn, caller, of(conn).now(conn)))


def succeeded(conn: Connection, caller: Caller) -> None:
    """The password was right; together with what it was for."""
    tries.save(conn, throttle.succeeded(caller, tries.load(conn, throttle.keys_of(caller))))


def forget_old(conn: Connection) -> None:
    """Now and then, so that nothing lies there when nobody comes any more."""
    tries.make_room(conn, of(conn).now(conn))


def _count(conn: Connection, caller: Caller, now: Instant) -> float:
    begun = _decided(conn, caller, now)
    tries.save(conn, begun.buckets)
    if any(bucket.tries == 1 for bucket in begun.buckets):
        tries.make_room(conn, now)
    return begun.turn_s


def _decided(conn: Connection, caller: Caller, now: Instant) -> Begun:
    decision = throttle.begin(caller, tries.load(conn, throttle.keys_of(caller)), now)
    if isinstance(decision, TooSoon):
        raise TooMany(decision.sentence, retry_after_s=decision.retry_after_s)
    return decision

"""A try to sign in: counted before the password is looked at, forgiven when it was right. RELIABILITY R152.

Buckets lie in the store and are dated by its clock, so that a try at one instance counts at all of them, and over a restart.
Each instance makes room at every ROOM_EVERY-th try: with three of them there are never more than 10,000 buckets.
"""

from itertools import count

from sqlalchemy import Connection

from taskdash.errors import TooMany
from taskdash.model.instants import Instant
from taskdash.rules import throttle
from taskdash.rules.throttle import Begun, Caller, TooSoon
from taskdash.store import tries
from taskdash.store.database import Database
from taskdash.store.dialect import of

ROOM_EVERY = 100


class Throttle:
    """Asked before a password is tried."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tries = count(1)

    async def begin(self, caller: Caller) -> float:
        """Count a try; the seconds it has to wait for its turn. Raises TooMany when it comes too soon, StoreRefused.

        What comes too soon anyway is turned away by a read: a storm of tries does not keep the writer from its work.
        """
        await self._db.read(lambda conn: _decided(conn, caller, of(conn).now(conn)))
        makes_room = next(self._tries) % ROOM_EVERY == 0
        return await self._db.write(lambda conn: _count(conn, caller, makes_room=makes_room))


def succeeded(conn: Connection, caller: Caller) -> None:
    """The password was right; in the transaction of what it was for."""
    tries.save(conn, throttle.succeeded(caller, tries.load(conn, throttle.keys_of(caller))))


def forget_old(conn: Connection) -> None:
    """Now and then, so that nothing lies there when nobody comes any more."""
    tries.make_room(conn, of(conn).now(conn))


def _count(conn: Connection, caller: Caller, *, makes_room: bool) -> float:
    now = of(conn).now(conn)
    begun = _decided(conn, caller, now)
    tries.save(conn, begun.buckets)
    if makes_room:
        tries.make_room(conn, now)
    return begun.turn_s


def _decided(conn: Connection, caller: Caller, now: Instant) -> Begun:
    decision = throttle.begin(caller, tries.load(conn, throttle.keys_of(caller)), now)
    if isinstance(decision, TooSoon):
        raise TooMany(decision.sentence, retry_after_s=decision.retry_after_s)
    return decision

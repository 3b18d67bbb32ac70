"""What an instance does for all to know that it lives, and to hold its part of the work. One function, one transaction."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.rules import sharing
from taskdash.rules.fleet import Report, Seen
from taskdash.store import instances, leases
from taskdash.store.database import Database

MONITOR_LEASE_S = 6.0
COLLECTOR, MONITOR_ROLE = "collector", "monitor"


class Beat(Struct, frozen=True):
    """What an instance knows after it told of itself: who is there, itself too, and what it holds."""

    seen: tuple[Seen, ...] = ()
    leads: bool = False
    shards: frozenset[int] = frozenset()


async def beat(db: Database, me: str, report: Report, shard_lease_s: float) -> Beat:
    """Tell of itself, hold on to what it has, take what is free. Raises StoreRefused, and then nothing changed."""

    def change(conn: Connection) -> Beat:
        instances.tell(conn, me, report)
        seen = instances.known(conn)
        held = leases.holders(conn)
        leads = MONITOR_ROLE in report.roles and held.get(sharing.MONITOR, me) == me
        if leads:
            leases.take(conn, me, [sharing.MONITOR], MONITOR_LEASE_S)
        shards = _shards(me, seen, held) if COLLECTOR in report.roles else frozenset()
        leases.take(conn, me, [sharing.lease_of(shard) for shard in shards], shard_lease_s)
        return Beat(tuple(seen), leads, shards)

    return await db.write(change)


def _shards(me: str, seen: Sequence[Seen], held: dict[str, str]) -> frozenset[int]:
    collectors = [one.id for one in seen if COLLECTOR in one.report.roles]
    return sharing.to_hold(me, collectors, held)


async def leave(db: Database, me: str) -> None:
    """It ends: what it held is free at once, and nobody waits for it."""

    def change(conn: Connection) -> None:
        leases.give_back(conn, me)
        instances.forget(conn, [me])

    await db.write(change)

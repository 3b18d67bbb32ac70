"""Which instances there are and what each told of itself last. Times by the store's clock, so that all agree. No decisions."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, delete, select

from taskdash.model.instants import seconds
from taskdash.rules.fleet import Report, Seen
from taskdash.store.dialect import of
from taskdash.store.elements import upsert
from taskdash.store.tables import instances

ALIVE_S = 6.0
"""An instance that told nothing for so long is gone, as far as the others are concerned."""
i = instances.c


def tell(conn: Connection, instance: str, report: Report) -> None:
    """What an instance says of itself now."""
    told = {"id": instance, "seen_at": of(conn).now(conn), "report": msgspec.json.encode(report).decode()}
    conn.execute(upsert(instances).values(told).on_conflict_do_update(index_elements=["id"], set_=told))


def known(conn: Connection) -> list[Seen]:
    """Those that told of themselves lately."""
    now = of(conn).now(conn)
    rows = conn.execute(select(i.id, i.seen_at, i.report).where(i.seen_at > now - seconds(ALIVE_S)).order_by(i.id))
    return [Seen(row.id, msgspec.json.decode(row.report, type=Report), now - row.seen_at) for row in rows]


def alive(conn: Connection) -> set[str]:
    """Their ids alone."""
    now = of(conn).now(conn)
    return set(conn.execute(select(i.id).where(i.seen_at > now - seconds(ALIVE_S))).scalars())


def forget(conn: Connection, gone: Collection[str]) -> None:
    """These have left, or are lost and all that was theirs has been dealt with."""
    conn.execute(delete(instances).where(i.id.in_(list(gone))))

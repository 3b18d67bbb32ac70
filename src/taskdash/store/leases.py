"""Leases: who has something to itself, and until when by the store's clock.

Law: within a write nobody else writes (`Dialect.begin`), so to look and to take are one step. A lease that lapsed stays its
holder's until another takes it: `check` is the fence that keeps one who woke up late from writing after it was followed.
"""

from collections.abc import Collection

from sqlalchemy import Connection, select, update

from taskdash.errors import LeaseLost
from taskdash.model.instants import seconds
from taskdash.store.dialect import of
from taskdash.store.elements import upsert
from taskdash.store.tables import leases

c = leases.c


def holders(conn: Connection) -> dict[str, str]:
    """Holder by lease, of those that have not lapsed."""
    now = of(conn).now(conn)
    return {row.name: row.holder for row in conn.execute(select(c.name, c.holder).where(c.until > now, c.holder != ""))}


def take(conn: Connection, holder: str, names: Collection[str], length_s: float) -> None:
    """`holder` has these until `length_s` from now: they are free, lapsed or its own."""
    until = of(conn).now(conn) + seconds(length_s)
    rows = [{"name": name, "holder": holder, "until": until} for name in sorted(names)]
    if rows:
        new = upsert(leases)
        told = {"holder": new.excluded.holder, "until": new.excluded.until}
        conn.execute(new.on_conflict_do_update(index_elements=["name"], set_=told), rows)


def give_back(conn: Connection, holder: str) -> None:
    """All that it holds is free."""
    conn.execute(update(leases).where(c.holder == holder).values(holder="", until=0))


def check(conn: Connection, holder: str, names: Collection[str]) -> None:
    """Raises LeaseLost unless all of these are its own still."""
    mine = set(conn.execute(select(c.name).where(c.name.in_(sorted(names)), c.holder == holder)).scalars())
    if not mine.issuperset(names):
        raise LeaseLost("another instance does this now; nothing was kept")

"""Which instance does what is to be done once: the monitor is led by one, collecting is cut into shards. Pure.

Law: nobody takes what another holds; who holds more than a fair share lets the rest lapse, who holds less takes what is free.
"""

from collections.abc import Collection, Mapping, Sequence

MONITOR = "monitor"
"""The lease of the one that ticks, keeps the incidents and does the chores."""
SHARDS = 16
"""A service belongs to the shard of its row's number: so many instances can share the collecting."""
ALL_SHARDS = frozenset(range(SHARDS))


def shard_of(pk: int) -> int:
    """The shard of a service by the number of its row."""
    return pk % SHARDS


def lease_of(shard: int) -> str:
    """The name of a shard's lease."""
    return f"collect:{shard}"


def leases_of(pks: Collection[int]) -> frozenset[str]:
    """The leases that whoever collects these services must hold."""
    return frozenset(lease_of(shard_of(pk)) for pk in pks)


def to_hold(mine: str, collectors: Sequence[str], holders: Mapping[str, str]) -> frozenset[int]:
    """The shards that `mine`, one of `collectors` (ascending), holds from now on. `holders`: holder by lease, none lapsed."""
    held = [shard for shard in range(SHARDS) if holders.get(lease_of(shard)) == mine]
    free = [shard for shard in range(SHARDS) if lease_of(shard) not in holders]
    share = _share(collectors.index(mine), len(collectors))
    return frozenset([*held, *free][:share]) if len(held) < share else frozenset(held[:share])


def _share(rank: int, of: int) -> int:
    return SHARDS // of + (rank < SHARDS % of)

"""Which instance holds which shards. RELIABILITY: nothing is collected twice."""

from hypothesis import given
from hypothesis import strategies as st

from taskdash.rules.sharing import ALL_SHARDS, SHARDS, lease_of, shard_of, to_hold


def settle(instances: list[str], holders: dict[str, str], rounds: int) -> dict[str, str]:
    """Each beats in turn; what one does not renew lapses before the next round."""
    for _ in range(rounds):
        for one in instances:
            kept = to_hold(one, instances, holders)
            taken = {lease_of(shard) for shard in kept}
            assert all(holders.get(name, one) == one for name in taken), "took what another holds"
            holders = {name: holder for name, holder in holders.items() if holder != one or name in taken}
            holders |= dict.fromkeys(taken, one)
    return holders


def test_one_alone_holds_all() -> None:
    assert to_hold("a", ["a"], {}) == ALL_SHARDS


@given(st.lists(st.sampled_from("abcdefghijklmnopqrst"), min_size=1, max_size=20, unique=True), st.data())
def test_whoever_comes_and_goes_every_shard_is_soon_held_once_and_fairly(names: list[str], drawn: st.DataObject) -> None:
    before = sorted(names)
    after = sorted(drawn.draw(st.sets(st.sampled_from(before), min_size=1)))
    holders = settle(before, {}, 3)
    holders = settle(after, {name: holder for name, holder in holders.items() if holder in after}, 3)
    assert set(holders) == {lease_of(shard) for shard in ALL_SHARDS}
    counts = [list(holders.values()).count(one) for one in after]
    assert max(counts) - min(counts) <= 1


def test_every_service_belongs_to_one_shard() -> None:
    assert {shard_of(pk) for pk in range(1, 1000)} == set(range(SHARDS))

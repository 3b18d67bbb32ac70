"""`make bench-compare` calls a change slower when it is, and noise never."""

import random

import pytest

from bench.verdict import LEAST, Compared, Costs

ROUNDS = 7


def costs(factor: float, noise: float, seed: int = 1) -> Costs:
    """Of a working tree that costs `factor` of the revision, on a machine where every figure is off by up to `noise`."""
    chance = random.Random(seed)

    def values(true: float) -> list[float]:
        return [true * (1 + chance.uniform(-noise, noise)) for _ in range(ROUNDS)]

    return Costs(values(1e-3), values(1e-3), values(factor * 1e-3))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_what_costs_a_fifth_more_is_slower_and_what_costs_the_same_is_not(noise: float) -> None:
    assert costs(1.2, noise).is_slower
    assert not costs(1.0, noise).is_slower
    assert not costs(1.0, noise).is_faster
    assert costs(0.8, noise).is_faster


def test_less_than_five_per_cent_is_never_called_slower_however_quiet_the_machine() -> None:
    assert costs(1.0, 0.0).allowed == 1 + LEAST
    assert not costs(1.049, 0.0).is_slower
    assert costs(1.051, 0.0).is_slower


def test_what_the_revision_differs_from_itself_is_allowed_to_the_working_tree() -> None:
    before, again = [1.0] * ROUNDS, [1.3] * ROUNDS
    assert not Costs(before, again, [1.4] * ROUNDS).is_slower
    assert Costs(before, again, [1.6] * ROUNDS).is_slower


def test_one_disturbed_round_neither_makes_a_verdict_nor_hides_one() -> None:
    quiet = [1.0] * ROUNDS
    assert not Costs(quiet, quiet, [9.0, *quiet[1:]]).is_slower
    assert Costs(quiet, [9.0, *quiet[1:]], [1.2] * ROUNDS).is_slower


def test_of_a_thousand_unchanged_operations_on_a_noisy_machine_few_are_called_slower() -> None:
    assert sum(costs(1.0, 0.2, seed).is_slower for seed in range(1_000)) < 25


def test_waiting_longer_is_slower_also_without_more_cpu_and_the_other_way_round() -> None:
    same, more = costs(1.0, 0.01), costs(1.5, 0.01)
    assert [Compared("x", *pair).verdict for pair in ((same, same), (more, same), (same, more))] == [
        "as before",
        "SLOWER",
        "SLOWER",
    ]

"""Failed sign-ins are slowed, never an account locked."""

import pytest

from taskdash.errors import TooMany
from taskdash.model.instants import seconds
from taskdash.web.throttle import MOST_ENTRIES, Caller, Devices, Throttle, network
from tests.support import NOW

OWNER = Caller("ada", "192.0.2.1")


def _wait_s(throttle: Throttle, caller: Caller, now: int) -> float:
    """0 when a try may begin (and then it counts as a wrong one)."""
    try:
        throttle.begin(caller, now)
    except TooMany as refused:
        return float(refused.extra["retry_after_s"])
    return 0.0


def test_R152_five_tries_are_free_then_1_2_4_up_to_60_seconds() -> None:
    throttle, now, waits = Throttle(), NOW, []
    for _try in range(14):
        wait_s = _wait_s(throttle, OWNER, now)
        if wait_s:
            now += seconds(wait_s)
            throttle.begin(OWNER, now)
        waits.append(wait_s)
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_R152_a_right_password_makes_the_next_slip_free_again() -> None:
    throttle = Throttle()
    for _try in range(5):
        throttle.begin(OWNER, NOW)
    throttle.succeeded(OWNER)
    assert [_wait_s(throttle, OWNER, NOW) for _try in range(5)] == [0] * 5


def test_R152_an_address_has_30_tries_a_minute_over_all_accounts() -> None:
    throttle = Throttle()
    waits = [_wait_s(throttle, Caller(f"user{n}", "192.0.2.9"), NOW + seconds(n)) for n in range(40)]
    assert waits[:30] == [0] * 30
    assert waits[30] == pytest.approx(30)
    assert _wait_s(throttle, Caller("other", "192.0.2.9"), NOW + seconds(60.1)) == 0


def test_R152_one_household_has_one_bucket() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("192.0.2.1") != network("192.0.2.2")
    assert network("unix") == "unix"


def test_R152_many_addresses_make_at_most_50_guesses_a_minute_on_one_account() -> None:
    throttle, guesses = Throttle(), 0
    for tick in range(600):
        for stranger in range(100):
            address = f"10.{tick % 10}.{stranger}.{tick // 10}"
            guesses += _wait_s(throttle, Caller("ada", address), NOW + seconds(tick / 10)) == 0
    assert guesses <= 50 + 12  # the first ones are free once an hour


def test_R152_nobody_waits_longer_than_two_seconds_for_their_turn() -> None:
    throttle, turns, waits = Throttle(), [], []
    for stranger in range(60):
        try:
            turns.append(throttle.begin(Caller("ada", f"10.0.0.{stranger}"), NOW))
        except TooMany as refused:
            waits.append(refused.extra["retry_after_s"])
    assert max(turns) <= 2.0
    assert max(waits) <= 2.0


def test_R152_a_browser_that_signed_in_before_is_not_slowed_by_strangers() -> None:
    throttle = Throttle()
    for stranger in range(1_000):
        _wait_s(throttle, Caller("ada", f"10.0.{stranger // 250}.{stranger % 250}"), NOW)
    assert throttle.begin(Caller("ada", "192.0.2.1", "her laptop"), NOW) == 0


def test_R152_a_device_cookie_is_ours_and_of_one_account() -> None:
    devices = Devices("key")
    cookie = devices.cookie("ada")
    assert devices.of("ada", cookie) == cookie.partition(".")[0]
    assert devices.of("bob", cookie) == ""
    assert Devices("other key").of("ada", cookie) == ""
    assert [devices.of("ada", made_up) for made_up in ("", ".", "abc", "abc.def", "é.ü")] == [""] * 5


def test_R152_the_table_is_bounded() -> None:
    throttle = Throttle()
    for stranger in range(6_000):
        throttle.begin(Caller(f"user{stranger}", f"10.{stranger // 60_000}.{stranger // 250}.{stranger % 250}"), NOW)
    assert len(throttle._buckets) <= MOST_ENTRIES

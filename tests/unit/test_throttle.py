"""Failed sign-ins are slowed, never an account locked."""

import pytest

from taskdash.model.instants import seconds
from taskdash.rules import throttle
from taskdash.rules.throttle import Begun, Bucket, Caller, TooSoon, keys_of, network
from taskdash.web.devices import Devices
from tests.support import NOW

OWNER = Caller("ada", "192.0.2.1")


class Tries:
    """The rule, and the buckets as a store keeps them."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}

    def begin(self, caller: Caller, now: int) -> Begun | TooSoon:
        decision = throttle.begin(caller, self._known(caller), now)
        if isinstance(decision, Begun):
            self.buckets |= {bucket.key: bucket for bucket in decision.buckets}
        return decision

    def succeeded(self, caller: Caller) -> None:
        changed = throttle.succeeded(caller, self._known(caller))
        self.buckets |= {bucket.key: bucket for bucket in changed}

    def wait_s(self, caller: Caller, now: int) -> float:
        """0 when a try may begin (and then it counts as a wrong one)."""
        decision = self.begin(caller, now)
        return decision.retry_after_s if isinstance(decision, TooSoon) else 0.0

    def _known(self, caller: Caller) -> dict[str, Bucket]:
        return {key: self.buckets[key] for key in keys_of(caller) if key in self.buckets}


def test_R152_five_tries_are_free_then_1_2_4_up_to_60_seconds() -> None:
    tries, now, waits = Tries(), NOW, []
    for _try in range(14):
        wait_s = tries.wait_s(OWNER, now)
        if wait_s:
            now += seconds(wait_s)
            tries.begin(OWNER, now)
        waits.append(wait_s)
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_R152_a_right_password_makes_the_next_slip_free_again() -> None:
    tries = Tries()
    for _try in range(5):
        tries.begin(OWNER, NOW)
    tries.succeeded(OWNER)
    assert [tries.wait_s(OWNER, NOW) for _try in range(5)] == [0] * 5


def test_R152_an_address_has_30_tries_a_minute_over_all_accounts() -> None:
    tries = Tries()
    waits = [tries.wait_s(Caller(f"user{n}", "192.0.2.9"), NOW + seconds(n)) for n in range(40)]
    assert waits[:30] == [0] * 30
    assert waits[30] == pytest.approx(30)
    assert tries.wait_s(Caller("other", "192.0.2.9"), NOW + seconds(60.1)) == 0


def test_R152_one_household_has_one_bucket() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("192.0.2.1") != network("192.0.2.2")
    assert network("unix") == "unix"


def test_R152_many_addresses_make_at_most_50_guesses_a_minute_on_one_account() -> None:
    tries, guesses = Tries(), 0
    for tick in range(600):
        for stranger in range(100):
            address = f"10.{tick % 10}.{stranger}.{tick // 10}"
            guesses += tries.wait_s(Caller("ada", address), NOW + seconds(tick / 10)) == 0
    assert guesses <= 50 + 12  # the first ones are free once an hour


def test_R152_nobody_waits_longer_than_two_seconds_for_their_turn() -> None:
    tries = Tries()
    decisions = [tries.begin(Caller("ada", f"10.0.0.{stranger}"), NOW) for stranger in range(60)]
    turns = [decision.turn_s for decision in decisions if isinstance(decision, Begun)]
    waits = [decision.retry_after_s for decision in decisions if isinstance(decision, TooSoon)]
    assert 0 < max(turns) <= 2.0
    assert 0 < max(waits) <= 2.0


def test_R152_a_browser_that_signed_in_before_is_not_slowed_by_strangers() -> None:
    tries = Tries()
    for stranger in range(1_000):
        tries.wait_s(Caller("ada", f"10.0.{stranger // 250}.{stranger % 250}"), NOW)
    decision = tries.begin(Caller("ada", "192.0.2.1", "her laptop"), NOW)
    assert isinstance(decision, Begun)
    assert decision.turn_s == 0


def test_R152_a_device_cookie_is_ours_and_of_one_account() -> None:
    devices = Devices("key")
    cookie = devices.cookie("ada")
    assert devices.of("ada", cookie) == cookie.partition(".")[0]
    assert devices.of("bob", cookie) == ""
    assert Devices("other key").of("ada", cookie) == ""
    assert [devices.of("ada", made_up) for made_up in ("", ".", "abc", "abc.def", "é.ü")] == [""] * 5


def test_R152_an_hour_without_a_try_is_a_new_beginning() -> None:
    tries = Tries()
    for _try in range(5):
        tries.begin(OWNER, NOW)
    assert tries.wait_s(OWNER, NOW) == 1
    assert [tries.wait_s(OWNER, NOW + seconds(3_601)) for _try in range(5)] == [0] * 5


def test_R152_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    tries = Tries()
    for _try in range(5):
        tries.begin(OWNER, NOW)
    assert tries.wait_s(OWNER, NOW - seconds(2)) == 3
    assert tries.wait_s(OWNER, NOW - seconds(7_200)) == 0


def test_R152_a_success_takes_back_its_own_try_and_no_other() -> None:
    tries = Tries()
    for number in range(4):
        tries.begin(Caller("bob", f"198.51.100.{number}"), NOW)
    tries.begin(OWNER, NOW)
    tries.begin(Caller("bob", OWNER.address), NOW)
    tries.succeeded(OWNER)
    assert {key.split()[0]: tries.buckets[key].tries for key in keys_of(OWNER)} == {"own": 0, "place": 1, "account": 0}
    tries.succeeded(Caller("bob", "192.0.2.77", "his laptop"))
    assert tries.buckets[keys_of(Caller("bob", ""))[2]].tries == 5


def test_R159_what_was_typed_as_a_name_is_in_no_key() -> None:
    caller = Caller("my password by mistake", "192.0.2.1")
    assert "mistake" not in repr(keys_of(caller))
    assert len(set(keys_of(caller)) | set(keys_of(OWNER))) == 5  # one place
    assert max(map(len, keys_of(Caller("n" * 256, "unix")))) < 80

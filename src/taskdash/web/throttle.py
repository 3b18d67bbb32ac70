"""Failed sign-ins are slowed, never an account locked. No IO; instants come in. RELIABILITY R152 (ASVS 6.1.1).

(account, network of the peer): 5 free tries, then 1, 2, 4 ... 60 s apart. A network: 30 tries a minute. An account that many
strangers guess at: tries come in turn, 1.25 s apart, and nobody waits longer than 2 s for theirs. A browser that signed in
before (its device cookie, signed by us) has a bucket of its own and no turn to wait for: a stranger never slows the owner.
A try counts when it begins, so that many at once are no way around.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict

from msgspec import Struct

from taskdash.errors import TooMany
from taskdash.model.instants import Instant, in_seconds, seconds

FREE_TRIES, LONGEST_S = 5, 60.0
ADDRESS_TRIES, ADDRESS_WINDOW_S = 30, 60.0
ACCOUNT_FREE_TRIES, TURN_S, LONGEST_TURN_S = 10, 1.25, 2.0
FORGET_S = 3_600.0
MOST_ENTRIES = 10_000


class _Bucket(Struct):
    tries: int = 0
    since: Instant = 0
    last_at: Instant = 0
    next_turn: Instant = 0


class Caller(Struct, frozen=True):
    """Who tries: the account they name, the peer's address, and the device that their cookie proves (or "")."""

    user: str
    address: str
    device: str = ""


class Throttle:
    """Asked before a password is tried, told when it was right."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def begin(self, caller: Caller, now: Instant) -> float:
        """Count a try; the seconds it has to wait for its turn. Raises TooMany when it comes too soon."""
        own, place = self._bucket(_own_key(caller), now, FORGET_S), self._bucket(_place_key(caller), now, ADDRESS_WINDOW_S)
        too_soon_s = max(_pause_s(own, now), _full_s(place, now))
        if too_soon_s > 0:
            raise TooMany(f"too many failed sign-ins; try again in {too_soon_s:.0f} s", retry_after_s=too_soon_s)
        turn_s = 0.0 if caller.device else self._turn_s(caller.user, now)
        for bucket in (own, place):
            bucket.tries += 1
            bucket.last_at = now
        return turn_s

    def succeeded(self, caller: Caller) -> None:
        """The password was right: the next slip is free again, and the try did not count."""
        self._buckets.pop(_own_key(caller), None)
        for key in (_place_key(caller), _account_key(caller.user)):
            if bucket := self._buckets.get(key):
                bucket.tries = max(0, bucket.tries - 1)

    def _turn_s(self, user: str, now: Instant) -> float:
        account = self._bucket(_account_key(user), now, FORGET_S)
        turn_s = max(0.0, in_seconds(account.next_turn - now))
        if turn_s > LONGEST_TURN_S:
            raise TooMany("too many people try this account at once; try again in 2 s", retry_after_s=2)
        account.tries += 1
        account.last_at = now
        if account.tries > ACCOUNT_FREE_TRIES:
            account.next_turn = max(account.next_turn, now) + seconds(TURN_S)
        return turn_s

    def _bucket(self, key: tuple[str, str], now: Instant, window_s: float) -> _Bucket:
        bucket = self._buckets.pop(key, None)
        if bucket is None or now - (bucket.since if key[0] == "place" else bucket.last_at) > seconds(window_s):
            bucket = _Bucket(since=now, last_at=now)
        self._buckets[key] = bucket
        if len(self._buckets) > MOST_ENTRIES:
            self._buckets.popitem(last=False)
        return bucket


def _pause_s(bucket: _Bucket, now: Instant) -> float:
    if bucket.tries < FREE_TRIES:
        return 0.0
    pause_s = min(LONGEST_S, 2.0 ** (bucket.tries - FREE_TRIES))
    return pause_s - in_seconds(now - bucket.last_at)


def _full_s(bucket: _Bucket, now: Instant) -> float:
    if bucket.tries < ADDRESS_TRIES:
        return 0.0
    return ADDRESS_WINDOW_S - in_seconds(now - bucket.since)


def _own_key(caller: Caller) -> tuple[str, str]:
    return ("own", f"{caller.user}\n{'device ' + caller.device if caller.device else network(caller.address)}")


def _place_key(caller: Caller) -> tuple[str, str]:
    return ("place", network(caller.address))


def _account_key(user: str) -> tuple[str, str]:
    return ("account", user)


def network(address: str) -> str:
    """The /32 or /64 of an address: one household has one bucket."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    width = 32 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, width), strict=False))


class Devices:
    """Signs and reads the cookie of a browser that signed in before: it holds for one account."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def cookie(self, user: str) -> str:
        """A new one."""
        device = secrets.token_hex(16)
        return f"{device}.{self._signature(user, device)}"

    def of(self, user: str, cookie: str) -> str:
        """The device that the cookie proves for this account; "" when it proves none."""
        device, _, signature = cookie.partition(".")
        expected = self._signature(user, device)
        return device if device and hmac.compare_digest(signature.encode(), expected.encode()) else ""

    def _signature(self, user: str, device: str) -> str:
        return hmac.new(self._key, f"{device}\n{user}".encode(), hashlib.sha256).hexdigest()

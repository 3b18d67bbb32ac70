"""Failed sign-ins are slowed, never an account locked. No IO; instants come in. RELIABILITY R152 (ASVS 6.1.1).

(account, network of the peer): 5 free tries, then 1, 2, 4 ... 60 s; an address 30 tries a minute. A browser that signed in
before (device cookie) has a bucket of its own, so that a stranger's guesses do not slow the owner.
"""

import ipaddress
from collections import OrderedDict

from msgspec import Struct

from taskdash.model.instants import Instant, in_seconds, seconds

FREE_TRIES, LONGEST_S = 5, 60.0
ADDRESS_TRIES, ADDRESS_WINDOW_S = 30, 60.0
FORGET_S = 3_600.0
MOST_ENTRIES = 10_000


class _Bucket(Struct):
    failures: int = 0
    last_at: Instant = 0


class Throttle:
    """Asked before a password is tried, told when it was wrong or right."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def wait_s(self, user: str, address: str, device: str, now: Instant) -> float:
        """Seconds until this caller may try again; 0: now."""
        return max(self._of_account(user, address, device, now), self._of_address(address, now))

    def failed(self, user: str, address: str, device: str, now: Instant) -> None:
        """A wrong password or unknown user."""
        self._count(self._key(user, address, device), now, FORGET_S)
        self._count(("address", network(address)), now, ADDRESS_WINDOW_S)

    def succeeded(self, user: str, address: str, device: str) -> None:
        """The right one: the next slip is free again."""
        self._buckets.pop(self._key(user, address, device), None)

    def _of_account(self, user: str, address: str, device: str, now: Instant) -> float:
        bucket = self._buckets.get(self._key(user, address, device))
        if bucket is None or bucket.failures < FREE_TRIES:
            return 0.0
        pause = min(LONGEST_S, 2.0 ** (bucket.failures - FREE_TRIES))
        return max(0.0, pause - in_seconds(now - bucket.last_at))

    def _of_address(self, address: str, now: Instant) -> float:
        bucket = self._buckets.get(("address", network(address)))
        if bucket is None or bucket.failures < ADDRESS_TRIES:
            return 0.0
        return max(0.0, ADDRESS_WINDOW_S - in_seconds(now - bucket.last_at))

    def _count(self, key: tuple[str, str], now: Instant, forget_s: float) -> None:
        bucket = self._buckets.pop(key, None) or _Bucket()
        if now - bucket.last_at > seconds(forget_s):
            bucket.failures = 0
        bucket.failures += 1
        bucket.last_at = now
        self._buckets[key] = bucket
        if len(self._buckets) > MOST_ENTRIES:
            self._buckets.popitem(last=False)

    @staticmethod
    def _key(user: str, address: str, device: str) -> tuple[str, str]:
        return (user, f"device {device}" if device else network(address))


def network(address: str) -> str:
    """The /32 or /64 of an address: one household has one bucket."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    width = 32 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, width), strict=False))

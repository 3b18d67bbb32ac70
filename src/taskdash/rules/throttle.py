"""Failed sign-ins are slowed, never an account locked. Pure; instants come in. RELIABILITY R152 (ASVS 6.1.1).

(account, network of the peer): 5 free tries, then 1, 2, 4 ... 60 s apart. A network: 30 tries a minute. An account that many
strangers guess at: tries come in turn, 1.25 s apart, and nobody waits longer than 2 s for theirs. A browser that signed in
before (its device cookie, signed by us) has a bucket of its own and no turn to wait for: a stranger never slows the owner.
A try counts when it begins, so that many at once are no way around.

What was typed as a name is in a key only as a digest: people type their password there by mistake (R159).
"""

import ipaddress
from collections.abc import Mapping

from msgspec import Struct, structs

from taskdash.model.instants import Instant, in_seconds, seconds
from taskdash.rules.secrets import digest

FREE_TRIES, LONGEST_S = 5, 60.0
ADDRESS_TRIES, ADDRESS_WINDOW_S = 30, 60.0
ACCOUNT_FREE_TRIES, TURN_S, LONGEST_TURN_S = 10, 1.25, 2.0
FORGET_S = 3_600.0


class Caller(Struct, frozen=True):
    """Who tries: the account they name, the peer's address, and the device that their cookie proves (or "")."""

    user: str
    address: str
    device: str = ""


class Bucket(Struct, frozen=True):
    """Tries that count together. One without tries is as good as none."""

    key: str
    tries: int = 0
    since: Instant = 0
    last_at: Instant = 0
    next_turn: Instant = 0


Buckets = Mapping[str, Bucket]


class Begun(Struct, frozen=True):
    """The password may be tried, `turn_s` seconds from now; the buckets with this try."""

    turn_s: float
    buckets: tuple[Bucket, ...]


class TooSoon(Struct, frozen=True):
    """The try does not count, and the password is not looked at."""

    sentence: str
    retry_after_s: float


def keys_of(caller: Caller) -> tuple[str, ...]:
    """The buckets in which a try of theirs counts: their own, that of their network, that of the account."""
    place = network(caller.address)
    if caller.device:
        return (_key("own", caller.user, f"device {caller.device}"), _key("place", place))
    return (_key("own", caller.user, place), _key("place", place), _key("account", caller.user))


def begin(caller: Caller, known: Buckets, now: Instant) -> Begun | TooSoon:
    """Count a try, given the buckets of `keys_of` that there are."""
    own, place, *shared = (_of(known, key, now) for key in keys_of(caller))
    too_soon_s = max(_pause_s(own, now), _full_s(place, now))
    if too_soon_s > 0:
        return TooSoon(f"too many failed sign-ins; try again in {too_soon_s:.0f} s", too_soon_s)
    counted = (_counted(own, now), _counted(place, now))
    turn_s = max((in_seconds(account.next_turn - now) for account in shared), default=0.0)
    if turn_s > LONGEST_TURN_S:
        return TooSoon("too many people try this account at once; try again in 2 s", LONGEST_TURN_S)
    return Begun(max(0.0, turn_s), (*counted, *(_queued(_counted(account, now), now) for account in shared)))


def succeeded(caller: Caller, known: Buckets) -> list[Bucket]:
    """The password was right: the next slip is free again, and the try did not count."""
    own, *others = keys_of(caller)
    buckets = [bucket for key in others if (bucket := known.get(key))]
    return [Bucket(own), *(structs.replace(bucket, tries=max(0, bucket.tries - 1)) for bucket in buckets)]


def network(address: str) -> str:
    """The /32 or /64 of an address: one household has one bucket."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    width = 32 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, width), strict=False))


def _of(known: Buckets, key: str, now: Instant) -> Bucket:
    """The bucket, or a new one when its time is over, or a minute to come: for a clock that was set back nobody waits."""
    bucket = known.get(key)
    if bucket is None:
        return Bucket(key, since=now)
    began, window_s = (bucket.since, ADDRESS_WINDOW_S) if key.startswith("place ") else (bucket.last_at, FORGET_S)
    is_current = -seconds(LONGEST_S) <= now - began <= seconds(window_s)
    return bucket if is_current else Bucket(key, since=now)


def _counted(bucket: Bucket, now: Instant) -> Bucket:
    return structs.replace(bucket, tries=bucket.tries + 1, last_at=now)


def _queued(account: Bucket, now: Instant) -> Bucket:
    if account.tries <= ACCOUNT_FREE_TRIES:
        return account
    return structs.replace(account, next_turn=max(account.next_turn, now) + seconds(TURN_S))


def _pause_s(bucket: Bucket, now: Instant) -> float:
    if bucket.tries < FREE_TRIES:
        return 0.0
    pause_s = min(LONGEST_S, 2.0 ** (bucket.tries - FREE_TRIES))
    return pause_s - in_seconds(now - bucket.last_at)


def _full_s(bucket: Bucket, now: Instant) -> float:
    if bucket.tries < ADDRESS_TRIES:
        return 0.0
    return ADDRESS_WINDOW_S - in_seconds(now - bucket.since)


def _key(kind: str, *parts: str) -> str:
    return f"{kind} {digest(chr(10).join(parts))}"

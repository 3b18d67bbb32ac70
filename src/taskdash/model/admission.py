"""Who may connect to a listener, how many, and how much of what is not whole it keeps. No IO. RELIABILITY R14, R103.

Loopback is not counted by address: everything local has the same one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from msgspec import Struct

Network = IPv4Network | IPv6Network
CONNECTIONS, AN_ADDRESS = 4_096, 256
FREE_BYTES, POOL_BYTES = 64 * 1024, 64 * 1024 * 1024
NO_ROOM = "this listener keeps too much that is not whole; try again later"
Tell = Callable[[str], None]


def unheard(_why: str) -> None:
    """Nobody is told."""


class Crowd(Struct, frozen=True):
    """How many connections a listener may have, and who is told why one more was refused."""

    most: int = CONNECTIONS
    on_refused: Tell = unheard


class Admission:
    """Asked when a peer connects, told when it has gone."""

    def __init__(
        self, allow: Sequence[Network] = (), most: int = CONNECTIONS, an_address: int = AN_ADDRESS, on_refused: Tell = unheard
    ) -> None:
        """`allow`: networks that may connect (`listen.allow`); empty: all."""
        self._allow = allow
        self._most = most
        self._most_an_address = an_address
        self._on_refused = on_refused
        self._count = 0
        self._addresses: Counter[str] = Counter()

    def admit(self, address: str) -> str:
        """Count the peer; one sentence why it is refused all the same, or empty."""
        self._count += 1
        self._addresses[address] += 1
        if refusal := self._refusal(address):
            self._on_refused(refusal)
        return refusal

    def _refusal(self, address: str) -> str:
        if not self._is_allowed(address):
            return "this address is not in listen.allow"
        if self._count > self._most:
            return f"this listener has its {self._most:,} connections; try again later"
        if self._addresses[address] > self._most_an_address and not _is_local(address):
            return f"this address has its {self._most_an_address:,} connections; try again later"
        return ""

    def gone(self, address: str) -> None:
        """A peer that was counted has gone."""
        self._count -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def _is_allowed(self, address: str) -> bool:
        try:
            peer = ip_address(address.partition("%")[0])
        except ValueError:
            return not self._allow
        return not self._allow or any(peer in network for network in self._allow)


class Unfinished:
    """Bytes of commands that are not whole yet: 64 KiB are a connection's own, what it keeps beyond comes out of one pool.

    Who sends the beginnings of large commands on many connections takes from others who send large ones, never from the rest.
    """

    def __init__(self, pool_bytes: int = POOL_BYTES) -> None:
        self._pool = pool_bytes
        self._taken: dict[int, int] = {}
        self._total = 0

    def keep(self, holder: object, size: int) -> str:
        """So much is what this connection keeps now; one sentence why it may not, or empty."""
        beyond, before = max(0, size - FREE_BYTES), self._taken.get(id(holder), 0)
        if beyond > before and self._total + beyond - before > self._pool:
            return NO_ROOM
        self._total += beyond - before
        if beyond:
            self._taken[id(holder)] = beyond
        else:
            self._taken.pop(id(holder), None)
        return ""

    def gone(self, holder: object) -> None:
        """It keeps nothing any more."""
        self._total -= self._taken.pop(id(holder), 0)


def _is_local(address: str) -> bool:
    return address.startswith("127.") or address == "::1"

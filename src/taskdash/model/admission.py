"""Who may connect to a listener, and how many: one count for all listeners of programs. No IO. RELIABILITY R103.

Loopback is not counted by address: everything local has the same one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from msgspec import Struct

Network = IPv4Network | IPv6Network
CONNECTIONS, AN_ADDRESS = 4_096, 256
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


def _is_local(address: str) -> bool:
    return address.startswith("127.") or address == "::1"

"""Which addresses may be asked: the table of RELIABILITY R170-R177, and the two places in aiohttp where it is applied.

Law: an address is judged, never a string, and the judgement that counts is made on the very sockaddr that is then connected
(`Guard.open_socket`); the one after resolving only gives the better sentence. `judge` is pure.
"""

import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from msgspec import Struct

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Listener = tuple[str, int]


class Denied(OSError):
    """An address that may not be asked; `reason` is one sentence. An OSError, so that aiohttp cleans up as for a refusal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rules(Struct, frozen=True, kw_only=True):
    """`collect.allow`, `collect.deny`, `collect.ports`."""

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
_EXACT_ONLY = _networks(
    "169.254.0.0/16",
    "fe80::/10",
    "100.100.100.200/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
)
_NEVER = _networks(
    "0.0.0.0/8",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "3fff::/20",
    "fec0::/10",
    "ff00::/8",
)
_MAPPED, _COMPATIBLE, _NAT64 = _networks("::ffff:0:0/96", "::/96", "64:ff9b::/96")
_SIX_TO_FOUR = ip_network("2002::/16")
_NOT_EMBEDDED = frozenset({IPv6Address("::"), IPv6Address("::1")})


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """CIDR texts or single addresses as networks. Raises ValueError naming the one that is neither."""
    return _networks(*texts)


def unpacked(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4), else the address itself (R175)."""
    if isinstance(address, IPv4Address) or address in _NOT_EMBEDDED:
        return address
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    if any(address in network for network in (_MAPPED, _COMPATIBLE, _NAT64)):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def judge(address: Address, port: int, *, is_own: bool, loopback_allowed: bool, rules: Rules) -> str:
    """Why this address may not be asked, as one sentence; empty when it may. Order: own, deny, allow, table (R177)."""
    inner = unpacked(address)
    if is_own:
        return "the url leads to TaskDash itself"
    if _within(address, rules.deny) or _within(inner, rules.deny):
        return "the address is in collect.deny"
    if port < 1024 and port not in {80, 443} and port not in rules.ports:
        return f"port {port} may not be asked: below 1024 only 80, 443 and those in collect.ports"
    return _by_table(inner, loopback_allowed, rules.allow)


def _by_table(address: Address, loopback_allowed: bool, allow: tuple[Network, ...]) -> str:
    if _within(address, _NEVER):
        return "the address is reserved and is never asked"
    if _within(address, _EXACT_ONLY):
        exact = tuple(network for network in allow if network.prefixlen == network.max_prefixlen)
        allowed = _within(address, exact)
        return "" if allowed else "link-local and metadata addresses are asked only when collect.allow names the address itself"
    if _within(address, _LOOPBACK) and not loopback_allowed and not _within(address, allow):
        return "loopback addresses are not asked while TaskDash listens beyond loopback, unless collect.allow names them"
    return ""


def _within(address: Address, networks: Collection[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def is_local(address: Address) -> bool:
    """True when the address is one of this machine's own: only such can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


class Guard:
    """The judgement with what it needs from the running program: own listeners, and whether loopback is allowed now."""

    def __init__(
        self,
        own: Callable[[], Sequence[Listener]],
        loopback_allowed: Callable[[], bool],
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        ports: Iterable[int] = (),
        make_socket: Callable[..., socket.socket] = socket.socket,
    ) -> None:
        self._own = own
        self._loopback_allowed = loopback_allowed
        self._rules = Rules(allow=parse_networks(allow), deny=parse_networks(deny), ports=frozenset(ports))
        self._make_socket = make_socket

    def check(self, address: str, port: int) -> None:
        """Raises Denied when `address` (text, with or without zone) must not be asked on `port`."""
        try:
            target = ip_address(address.partition("%")[0])
        except ValueError:
            raise Denied("the name does not lead to an IP address") from None
        reason = judge(
            target,
            port,
            is_own=self._leads_home(unpacked(target), port),
            loopback_allowed=self._loopback_allowed(),
            rules=self._rules,
        )
        if reason:
            raise Denied(reason)

    def open_socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """aiohttp's socket_factory: judge the sockaddr that is about to be connected, then make its socket."""
        family, kind, protocol, _, sockaddr = addr_info
        self.check(str(sockaddr[0]), int(sockaddr[1]))
        return self._make_socket(family=family, type=kind, proto=protocol)

    def _leads_home(self, address: Address, port: int) -> bool:
        """One of our listeners' ports on any address of this machine (R172)."""
        return any(port == own_port for _, own_port in self._own()) and is_local(address)

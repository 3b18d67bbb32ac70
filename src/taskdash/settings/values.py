"""One raw value (text from a shell, or a TOML value) to one typed value. Pure.

Law: a wrong value raises ValueError whose text is the rule, so that it reads on after "setting NAME must be ". SPEC 9.
"""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

Parse = Callable[[Any], Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ROLES = ("web", "tcp", "ingest", "collector", "monitor")
_TOPIC = re.compile(r"[.a-zA-Z0-9_-]{1,64}|[.a-zA-Z0-9_-]{1,54}#ephemeral")
_HOST = re.compile(r"[A-Za-z0-9_.-]+")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Address(Struct, frozen=True):
    """Where a listener listens or a node is found. Port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach it; a name other than `localhost` may mean anything."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


class Key(Struct, frozen=True):
    """What a setting means (for docs/settings.md) and how its value is read. A secret is shown as `***`."""

    meaning: str
    parse: Parse
    secret: bool = False


def address(raw: Any) -> Address:
    """`host:port`, `[ipv6]:port`."""
    rule = "host:port, such as 127.0.0.1:8700 or [::1]:8700"
    host, colon, port = raw.rpartition(":") if isinstance(raw, str) else ("", "", "")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(rule)
    return Address(_host(host, rule), int(port))


def _host(host: str, rule: str) -> str:
    if not (host.startswith("[") and host.endswith("]")):
        if not _HOST.fullmatch(host):
            raise ValueError(rule)
        return host
    try:
        return str(ipaddress.IPv6Address(host[1:-1]))
    except ValueError:
        raise ValueError(rule) from None


def node(raw: Any) -> Address:
    """The address of a node to connect to: port 0 makes no sense there."""
    found = address(raw)
    if found.port == 0:
        raise ValueError("host:port with a port from 1 to 65535")
    return found


def network(raw: Any) -> Network:
    """A CIDR network, or one address."""
    try:
        return ipaddress.ip_network(raw if isinstance(raw, str) else "")
    except ValueError:
        raise ValueError("a network such as 10.0.0.0/8 or fd00::/8, or an address") from None


def text(raw: Any) -> str:
    """Any text."""
    if not isinstance(raw, str):
        raise ValueError("a text")
    return raw


def path(raw: Any) -> Path:
    """A path; `~` is the home directory."""
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise ValueError("a path")
    return Path(raw).expanduser().absolute()


def topic(raw: Any) -> str:
    """A name of an NSQ topic or channel."""
    if not isinstance(raw, str) or not _TOPIC.fullmatch(raw):
        raise ValueError("an NSQ name: 1 to 64 of the characters . a-z A-Z 0-9 _ -")
    return raw


def truth(raw: Any) -> bool:
    """true or false, as TOML value or text."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in (*_TRUE, *_FALSE):
        return raw.lower() in _TRUE
    raise ValueError("true or false")


def seconds(least: float = 0.0, most: float = 3_153_600_000.0) -> Parse:
    """A duration between two bounds (the default upper one is 100 years)."""
    return _between(float, "a number of seconds", least, most)


def number(least: float, most: float) -> Parse:
    """A number that may have a fraction."""
    return _between(float, "a number", least, most)


def count(least: int, most: int) -> Parse:
    """A whole number."""
    return _between(int, "a whole number", least, most)


def size(least: int, most: int) -> Parse:
    """A whole number of bytes."""
    return _between(int, "a whole number of bytes", least, most)


def _between(kind: type[int] | type[float], what: str, least: float, most: float) -> Parse:
    def parse(raw: Any) -> int | float:
        rule = f"{what} from {least:.12g} to {most:.12g}"
        if isinstance(raw, bool) or not isinstance(raw, (str, int, float)) or (kind is int and isinstance(raw, float)):
            raise ValueError(rule)
        try:
            value = kind(raw)
        except ValueError:
            raise ValueError(rule) from None
        if not least <= value <= most:
            raise ValueError(rule)
        return value

    return parse


def choice(*known: str) -> Parse:
    """One of some words."""

    def parse(raw: Any) -> str:
        if raw not in known:
            raise ValueError(" or ".join(known))
        return str(raw)

    return parse


def listed(one: Parse) -> Parse:
    """A list: of TOML, of a repeated option, or text with commas."""

    def parse(raw: Any) -> tuple[Any, ...]:
        if isinstance(raw, str):
            raw = [item.strip() for item in raw.split(",") if item.strip()]
        if not isinstance(raw, (list, tuple)):
            one(raw)
            raise ValueError("a list")
        return tuple(dict.fromkeys(one(item) for item in raw))

    return parse


def database(raw: Any) -> str:
    """Empty (the embedded database) or a PostgreSQL url."""
    if raw != "" and not (isinstance(raw, str) and raw.startswith(("postgresql://", "postgres://"))):
        raise ValueError("empty, or a url that begins with postgresql://")
    return str(raw)


def buffer_ms(raw: Any) -> int | None:
    """nsqd's output buffer in milliseconds; None: off."""
    if raw == "off":
        return None
    try:
        return int(count(25, 30_000)(raw))
    except ValueError:
        raise ValueError("off, or a whole number of milliseconds from 25 to 30000") from None


def time_zone(raw: Any) -> str:
    """A name of the time zone database that this machine knows."""
    try:
        return ZoneInfo(raw).key
    except (ValueError, TypeError, OSError, LookupError):
        raise ValueError("a time zone name such as Asia/Shanghai or UTC") from None

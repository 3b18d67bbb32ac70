"""Instants: whole nanoseconds since 1970 in UTC, NSQ's own unit, so that two messages of one MPUB keep their order.

Pure. On the wire an instant is RFC 3339 in UTC with milliseconds (SPEC, opening words).
"""

from datetime import UTC, datetime, timedelta

Instant = int

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 9_223_372_036 * SECOND


def seconds(duration_s: float) -> int:
    """`duration_s` seconds as nanoseconds, to be added to an instant."""
    return round(duration_s * SECOND)


def in_seconds(duration: int) -> float:
    """A difference of two instants, in seconds."""
    return duration / SECOND


def to_datetime(at: Instant) -> datetime:
    """The instant as an aware UTC datetime (microseconds; the rest is cut)."""
    return _EPOCH + timedelta(microseconds=at // 1_000)


def from_datetime(moment: datetime) -> Instant:
    """Nanoseconds of an aware datetime. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000


def to_rfc3339(at: Instant) -> str:
    """`2026-01-02T03:04:05.678Z`."""
    text = to_datetime(at).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def to_rfc3339_or_none(at: Instant | None) -> str | None:
    """As `to_rfc3339`; null stays null."""
    return None if at is None else to_rfc3339(at)


def parse_rfc3339(text: str) -> Instant:
    """Raises ValueError when `text` is not a complete RFC 3339 time with an offset, or not after 1970 and before 2262."""
    if len(text) < 20 or text[10] not in "Tt ":
        raise ValueError("not an RFC 3339 time")
    at = from_datetime(datetime.fromisoformat(text.upper()))
    if not 0 <= at < _LATEST:
        raise ValueError("a time outside 1970..2262")
    return at

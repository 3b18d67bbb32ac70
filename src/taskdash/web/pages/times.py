"""Instants and durations as people read them, in the configured time zone. Pure. UI 8.6."""

from datetime import tzinfo

from taskdash.model.instants import SECOND, Instant, to_datetime
from taskdash.web.pages.texts import Texts

_DAY_S = 86_400


def ago(texts: Texts, at: Instant, now: Instant) -> str:
    """`12 min ago`."""
    return texts("%(time)s ago", time=span(texts, at, now))


def span(texts: Texts, at: Instant, now: Instant) -> str:
    """The time between as one unit: seconds below a minute, then minutes, hours, days."""
    passed = max(0, (now - at) // SECOND)
    if passed < 60:
        return texts("%(n)s s", n=passed)
    if passed < 3_600:
        return texts("%(n)s min", n=passed // 60)
    if passed < _DAY_S:
        return texts("%(n)s h", n=passed // 3_600)
    return texts("%(n)s d", n=passed // _DAY_S)


def alarming(texts: Texts, at: Instant, now: Instant) -> str:
    """A duration that alarms, in two units: `4 min 10 s`."""
    passed = max(0, (now - at) // SECOND)
    if passed < 60:
        return texts("%(n)s s", n=passed)
    if passed < 3_600:
        return texts("%(m)s min %(s)s s", m=passed // 60, s=passed % 60)
    if passed < _DAY_S:
        return texts("%(h)s h %(m)s min", h=passed // 3_600, m=passed % 3_600 // 60)
    return texts("%(d)s d %(h)s h", d=passed // _DAY_S, h=passed % _DAY_S // 3_600)


def clock(at: Instant, zone: tzinfo) -> str:
    """`14:32:08`."""
    return to_datetime(at).astimezone(zone).strftime("%H:%M:%S")


def minute(at: Instant, zone: tzinfo) -> str:
    """`14:32`."""
    return to_datetime(at).astimezone(zone).strftime("%H:%M")


def day(at: Instant, zone: tzinfo) -> str:
    """`2026-07-30`."""
    return to_datetime(at).astimezone(zone).strftime("%Y-%m-%d")


def exact(at: Instant, zone: tzinfo) -> str:
    """`2026-07-30 09:20:04`."""
    return to_datetime(at).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def short(at: Instant, now: Instant, zone: tzinfo) -> str:
    """The clock time when it is today, else month and day as well."""
    moment = to_datetime(at).astimezone(zone)
    today = to_datetime(now).astimezone(zone).date() == moment.date()
    return moment.strftime("%H:%M:%S" if today else "%m-%d %H:%M")


def form_text(at: Instant, zone: tzinfo) -> str:
    """As a field for date and time holds it."""
    return to_datetime(at).astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def zone_minutes(at: Instant, zone: tzinfo) -> int:
    """How far the zone is ahead of UTC then."""
    offset = to_datetime(at).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)

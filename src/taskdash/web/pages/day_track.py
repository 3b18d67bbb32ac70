"""A task's day as a picture: its window, when it ran, what nobody could see, now. Pure geometry, in per cent. UI 6 (Task).

Law: the track is the local day from midnight to midnight, 23 or 25 hours long when the clocks change, and everything lies
where it lies in real time. So a window over midnight is two pieces, and one that the clocks shorten is shorter.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from msgspec import Struct

from taskdash.model.instants import SECOND, Instant, from_datetime, to_datetime

Span = tuple[Instant, Instant]
_TICK_HOURS = 3
_EDGE = 6.0
"""A label nearer to an end than this, in per cent, is set inwards."""


class Piece(NamedTuple):
    """A stretch of the track."""

    x: float
    width: float


class Tick(NamedTuple):
    """An hour of the clock; `fine`: left out where there is little room."""

    x: float
    text: str
    fine: bool


class Track(Struct, frozen=True, kw_only=True):
    """All that is drawn. `anchor`: how the label of now is set."""

    hours: int
    ticks: list[Tick]
    windows: list[Piece]
    runs: list[Piece]
    unseen: list[Piece]
    now: float
    anchor: str


class Change(NamedTuple):
    """One change of status."""

    at: Instant
    before: str
    after: str


def day_of(now: Instant, zone: tzinfo) -> Span:
    """The local day of `now`: from midnight to the next one."""
    today = to_datetime(now).astimezone(zone).date()
    return _at(today, 0, zone), _at(today + timedelta(days=1), 0, zone)


def track(now: Instant, zone: tzinfo, windows: Iterable[Span], runs: Iterable[Span], unseen: Iterable[Span]) -> Track:
    """The picture of the day of `now`."""
    day = day_of(now, zone)
    marker = _x(day, now)
    return Track(
        hours=round((day[1] - day[0]) / (3_600 * SECOND)),
        ticks=_ticks(day, zone),
        windows=_pieces(day, windows),
        runs=_pieces(day, runs),
        unseen=_pieces(day, unseen),
        now=marker,
        anchor="start" if marker < _EDGE else "end" if marker > 100 - _EDGE else "middle",
    )


def ran(changes: Sequence[Change], status: str, status_at: Instant, until: Instant) -> list[Span]:
    """When it ran, up to `until`: what `changes`, oldest first, tell of; without any it is `status` since `status_at`.

    Before the first change it was what that change says; how long nobody knows, so that run begins with time.
    """
    began = 0 if changes and changes[0].before == "running" else None
    found: list[Span] = []
    for at, _before, after in changes or [Change(status_at, "", status)]:
        if began is not None and after != "running":
            found.append((began, at))
            began = None
        elif began is None and after == "running":
            began = at
    return [
        (begin, min(end, until)) for begin, end in [*found, *([(began, until)] if began is not None else [])] if begin < until
    ]


def within(day: Span, spans: Iterable[Span]) -> list[Span]:
    """The parts that lie in the day."""
    cut = [(max(begin, day[0]), min(end, day[1])) for begin, end in spans]
    return [(begin, end) for begin, end in cut if begin < end]


def _pieces(day: Span, spans: Iterable[Span]) -> list[Piece]:
    return [Piece(_x(day, begin), _share(day, end - begin)) for begin, end in within(day, spans)]


def _x(day: Span, at: Instant) -> float:
    return _share(day, at - day[0])


def _share(day: Span, duration: int) -> float:
    return round(100 * duration / (day[1] - day[0]), 3)


def _ticks(day: Span, zone: tzinfo) -> list[Tick]:
    today = to_datetime(day[0]).astimezone(zone).date()
    hours = range(0, 24, _TICK_HOURS)
    found = [Tick(_x(day, max(day[0], _at(today, hour, zone))), f"{hour:02}:00", bool(hour % 6)) for hour in hours]
    return [*found, Tick(100.0, "24:00", fine=False)]


def _at(day: date, hour: int, zone: tzinfo) -> Instant:
    return from_datetime(datetime.combine(day, time(hour), zone))

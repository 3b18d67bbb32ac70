"""How a service did over the last days, a day at a time, from its changes of state. Pure. UI 6 (Service).

Law: only time in which TaskDash could tell counts: the share is up and late against up, late and down. Unknown, paused, left,
new, and all time before it was registered or before the history that is kept, count for nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from math import floor

from msgspec import Struct

from taskdash.model.instants import Instant, from_datetime, to_datetime
from taskdash.store.state_history import StateChange

DAYS = 90
_UNTOLD = frozenset({"unknown", "paused", "left", "new"})


class Day(Struct):
    """One local day and how much of it (nanoseconds) the service was in which state."""

    began: Instant
    ended: Instant
    up: int = 0
    late: int = 0
    down: int = 0
    untold: int = 0
    """Unknown, paused, left or new."""
    falls: int = 0
    """How often it went down."""

    @property
    def judged(self) -> int:
        """How much of the day counts."""
        return self.up + self.late + self.down

    @property
    def share(self) -> float | None:
        """Of the time that counts, how much it was not down; None: nothing counts."""
        return (self.up + self.late) / self.judged if self.judged else None


Stretch = tuple[Instant, Instant, str]
"""(from, to, state)."""


def days(
    changes: Sequence[StateChange], state: str, known_from: Instant, now: Instant, zone: tzinfo, n: int = DAYS
) -> list[Day]:
    """The last `n` days, oldest first, today the last. `state`: the present one; `known_from`: nothing is known before."""
    found = _calendar(now, zone, n)
    begins = [day.began for day in found]
    for began, ended, name in stretches(changes, state, max(known_from, begins[0]), now):
        for day in found[max(0, bisect_right(begins, began) - 1) :]:
            if day.began >= ended:
                break
            _add(day, name, min(day.ended, ended) - max(day.began, began))
    for change in changes:
        if change.after == "down" and change.before != "down" and max(known_from, begins[0]) <= change.at < now:
            found[bisect_right(begins, change.at) - 1].falls += 1
    return found


def _calendar(now: Instant, zone: tzinfo, n: int) -> list[Day]:
    """Local midnights: a day on which the clocks change has 23 or 25 hours."""
    today = to_datetime(now).astimezone(zone).date()
    dates = [today - timedelta(days=back) for back in range(n - 1, -2, -1)]
    midnights = [from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone)) for day in dates]
    return [Day(began, ended) for began, ended in pairwise(midnights)]


def stretches(changes: Iterable[StateChange], state: str, begins: Instant, now: Instant) -> list[Stretch]:
    """In which state it was when, from `begins` to now, without gaps. Before its first change it was what that change left."""
    found: list[Stretch] = []
    at = begins
    for change in changes:
        if change.at > at:
            found.append((at, min(change.at, now), change.before))
            at = change.at
    if at < now:
        found.append((at, now, state))
    return found


def _add(day: Day, state: str, length: int) -> None:
    name = "untold" if state in _UNTOLD else state
    if name in {"up", "late", "down", "untold"}:
        setattr(day, name, getattr(day, name) + length)


def whole(found: Sequence[Day]) -> Day:
    """All the days as one."""
    return Day(
        found[0].began,
        found[-1].ended,
        *(sum(getattr(day, name) for day in found) for name in ("up", "late", "down", "untold", "falls")),
    )


def percent(share: float) -> str:
    """Cut, never rounded up: 100 only when it was never down."""
    return f"{floor(share * 10_000) / 100:g} %"

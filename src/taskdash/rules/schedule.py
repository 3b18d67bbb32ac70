"""Whether a task should run now, from its start and stop time and its status, and when that changes next. Pure. SPEC 6.

A daily window (`HH:MM`) is one stretch of real time a local date: from start on that date to stop, on the next date when
stop is not after start (equal ends: the whole day). A time that the clocks skip counts as the moment after the gap, one
that they repeat counts as its first occurrence. Instants UTC; `zone` is the configured time zone.
"""

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal

from msgspec import structs

from taskdash.model.fields import time_form
from taskdash.model.instants import Instant, from_datetime, parse_rfc3339, to_datetime
from taskdash.model.records import Task

Value = Literal["none", "ok", "should_run", "should_stop"]
IDLE = frozenset({"waiting", "shutdown", "failed"})
RUNNING = "running"


def schedule(start: str, stop: str, status: str, now: Instant, zone: tzinfo) -> tuple[Value, Instant | None]:
    """(value, the instant at which it may change without anybody's doing; None when it will not)."""
    found = windows(start, stop, now, zone)
    if not found:
        return "none", None
    inside = any(begins <= now < ends for begins, ends in found)
    changes = [at for window in found for at in window if at > now and window[0] < window[1]]
    minds = status in IDLE or status == RUNNING
    return _value(status, inside=inside), min(changes) if changes and minds else None


def windows(start: str, stop: str, now: Instant, zone: tzinfo) -> list[tuple[Instant, Instant]]:
    """The windows around now, oldest first: of a daily one those of three days. None unless both ends are in one form."""
    form = time_form(start, "start_time")
    if not form or form != time_form(stop, "stop_time"):
        return []
    return _daily(start, stop, now, zone) if form == "daily" else [(parse_rfc3339(start), parse_rfc3339(stop))]


def _value(status: str, *, inside: bool) -> Value:
    if inside and status in IDLE:
        return "should_run"
    return "should_stop" if not inside and status == RUNNING else "ok"


def _daily(start: str, stop: str, now: Instant, zone: tzinfo) -> list[tuple[Instant, Instant]]:
    """The windows that began yesterday, begin today and tomorrow, by local dates."""
    begins, ends = time.fromisoformat(start), time.fromisoformat(stop)
    today = to_datetime(now).astimezone(zone).date()
    over_midnight = timedelta(days=1 if ends <= begins else 0)
    dates = [today + timedelta(days=n) for n in (-1, 0, 1)]
    return [(_instant(day, begins, zone), _instant(day + over_midnight, ends, zone)) for day in dates]


def _instant(day: date, at: time, zone: tzinfo) -> Instant:
    return from_datetime(datetime.combine(day, at, zone))


def placed(task: Task, now: Instant, zone: tzinfo) -> Task:
    """The task with `schedule` and `schedule_at` as of now; every save of its times or status goes through here."""
    value, changes_at = schedule(task.start_time, task.stop_time, task.status, now, zone)
    if (value, changes_at) == (task.schedule, task.schedule_at):
        return task
    return structs.replace(task, schedule=value, schedule_at=changes_at)

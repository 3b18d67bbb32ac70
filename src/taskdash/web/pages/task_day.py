"""The day of one task in words and as a track: its window, when it ran, since when nobody can see. Pure. UI 6 (Task)."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

from taskdash.model.fields import time_form
from taskdash.model.instants import Instant, to_datetime
from taskdash.model.records import Event, Service, Task
from taskdash.rules.schedule import windows
from taskdash.web.pages import day_track, times
from taskdash.web.pages.day_track import Change, Span, Track
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import Texts

_MOST_TOLD = 6


class Day(NamedTuple):
    """The card: its heading, the track (None: nothing to draw), the sentence that says what the track shows."""

    window: str
    note: str
    tone: str
    zone: str
    track: Track | None
    sentence: str
    now: str


def day_of(view: View, task: Task, service: Service | None, changes: Sequence[Event], *, stale_since: Instant | None) -> Day:
    """Today of one task. `changes`: its changes of status today; `stale_since`: since when nobody can see it."""
    day = day_track.day_of(view.now, view.zone)
    seen_until = view.now if stale_since is None else known_at(task, service)
    open_ = day_track.within(day, windows(task.start_time, task.stop_time, view.now, view.zone))
    told = [Change(event.at, str(event.before["status"]), str(event.after["status"])) for event in changes]
    runs = day_track.within(day, day_track.ran(told, task.status, task.status_at, seen_until))
    unseen = day_track.within(day, [(seen_until, view.now)]) if stale_since is not None and task.status == "running" else []
    note, tone = schedule_note(view, task)
    return Day(
        window=window_text(view, task),
        note=note,
        tone=tone,
        zone=str(view.zone),
        track=day_track.track(view.now, view.zone, open_, runs, unseen) if open_ or runs or unseen else None,
        sentence=_sentence(view, task, open_, runs, unseen, day),
        now=minute(view, view.now),
    )


def known_at(task: Task, service: Service | None) -> Instant:
    """When its status was last known: told by the task itself, or found unchanged by a good collection."""
    collected = service.collect_ok_at if service and service.collect_ok_at else 0
    return max(collected, task.status_at)


def open_until(view: View, task: Task) -> Instant | None:
    """The end of the window that is open now."""
    return next(
        (end for begin, end in windows(task.start_time, task.stop_time, view.now, view.zone) if begin <= view.now < end), None
    )


def schedule_note(view: View, task: Task) -> tuple[str, str]:
    """(text, tone) of what its window says now."""
    if task.schedule == "should_run":
        return view.texts("should run now"), "er"
    return (view.texts("should have stopped"), "wa") if task.schedule == "should_stop" else ("", "")


def window_text(view: View, task: Task) -> str:
    """Its window as people read it; empty without."""
    if not (task.start_time or task.stop_time):
        return ""
    if time_form(task.start_time, "start_time") == "daily" and time_form(task.stop_time, "stop_time") == "daily":
        return view.texts("window %(start)s–%(stop)s every day", start=task.start_time, stop=task.stop_time)
    return view.texts("window %(start)s–%(stop)s", start=task.start_time or "…", stop=task.stop_time or "…")


def minute(view: View, at: Instant) -> str:
    """`14:32`."""
    return to_datetime(at).astimezone(view.zone).strftime("%H:%M")


def _sentence(view: View, task: Task, open_: list[Span], runs: list[Span], unseen: list[Span], day: Span) -> str:
    texts, hours = view.texts, round((day[1] - day[0]) / 3_600e9)
    parts = [
        texts("Window today: %(times)s.", times=_listed(view, open_, day)) if open_ else texts("No window today."),
        texts("It ran %(times)s.", times=_listed(view, runs, day)) if runs else "",
        "" if runs or unseen else texts("It has not run today."),
        texts("From %(time)s on nobody could see it.", time=minute(view, unseen[0][0])) if unseen else "",
        texts("Now it is %(time)s.", time=minute(view, view.now)),
        texts("The clocks change: this day has %(n)s hours.", n=hours) if hours != 24 else "",
    ]
    return joined(texts, [part for part in parts if part])


def joined(texts: Texts, sentences: Sequence[str]) -> str:
    """Sentences one after another, as the language sets them."""
    return reduce(lambda said, more: texts("%(said)s %(more)s", said=said, more=more), sentences)


def listed(texts: Texts, things: Sequence[str]) -> str:
    """Things one after another, as the language sets them."""
    return reduce(lambda said, more: texts("%(said)s, %(more)s", said=said, more=more), things)


def _listed(view: View, spans: Sequence[Span], day: Span) -> str:
    told = [f"{minute(view, begin)}–{'24:00' if end == day[1] else minute(view, end)}" for begin, end in spans[-_MOST_TOLD:]]
    return listed(view.texts, told)


def clock(view: View, at: Instant) -> str:
    """The clock time today, else with its day."""
    return times.short(at, view.now, view.zone)

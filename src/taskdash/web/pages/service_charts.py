"""The pictures of a service in words and numbers for the template: the last half hour, and 90 days. Pure. UI 6, 10."""

from collections.abc import Sequence
from typing import Any

from taskdash.model.instants import SECOND, Instant
from taskdash.model.records import Service
from taskdash.store.state_history import StateChange
from taskdash.web.pages import timeline, times, uptime
from taskdash.web.pages.render import View
from taskdash.web.pages.timeline import Timeline
from taskdash.web.pages.uptime import Day

_TOP, _HEIGHT, _LEAST = 2, 32, 3
_DAY = 86_400 * SECOND


def charts(view: View, service: Service, changes: Sequence[StateChange], kept_from: Instant) -> dict[str, Any]:
    """`line`, `up` and their texts."""
    known_from = max(service.created_at, kept_from)
    days = uptime.days(changes, service.state, known_from, view.now, view.zone)
    return {**half_hour(view, service, changes), **_up(view, days)}


def half_hour(view: View, service: Service, changes: Sequence[StateChange]) -> dict[str, Any]:
    """The last half hour alone: `line` and its texts."""
    line = timeline.timeline(service, changes, view.now)
    middle = (line.began + line.ended) // 2
    last = service.last_beat_at
    return {
        "line": line,
        "line_title": _axis(view, line),
        "line_text": _line_text(view, service, line),
        "line_marks": [_mark(view, line, at) for at in (line.began, middle, line.ended)],
        "line_last": times.short(last, view.now, view.zone) if last and line.last_x is not None else "",
        "line_kept": _kept(view, service, line),
        "answers_text": _answers_text(view, service),
    }


def _axis(view: View, line: Timeline) -> str:
    n = timeline.minutes(line)
    if n < 120:
        return view.texts("Last %(n)s minutes", n=n)
    return view.texts("Last %(n)s hours", n=n // 60)


def _mark(view: View, line: Timeline, at: Instant) -> str:
    """A time on the axis; with its day where the axis is longer than one."""
    minute = times.minute(at, view.zone)
    return minute if line.ended - line.began < _DAY else f"{times.day(at, view.zone)[5:]} {minute}"


def _line_text(view: View, service: Service, line: Timeline) -> str:
    """What the picture says, as a sentence."""
    if not service.interval_s:
        return view.texts("no beats expected, judged by its url alone")
    last = times.short(service.last_beat_at, view.now, view.zone) if service.last_beat_at else "—"
    return view.texts(
        "Of %(n)s slots of %(s)s s %(came)s had a beat, %(up)s were up, %(missed)s had none, in %(blind)s TaskDash could "
        "not see; last beat %(last)s",
        n=len(line.slots),
        s=timeline.slot_seconds(line),
        came=line.count("came"),
        up=line.count("was-up"),
        missed=line.count("missed", "was-late"),
        blind=line.count("blind", "muted"),
        last=last,
    )


def _kept(view: View, service: Service, line: Timeline) -> str:
    """What the picture cannot know, said beside it."""
    answers = view.texts("Of answers only the last, the last good one and the first of a failing row are kept.")
    if not service.interval_s or not line.count("was-up"):
        return answers
    return view.texts("Single beats are kept for 30 intervals; paler before that: it was up.") + " " + answers


def _answers_text(view: View, service: Service) -> str:
    texts = view.texts
    if not service.url:
        return texts("no url")
    since = service.collected_at if service.collect_ok else service.collect_error_at
    if service.collect_ok is None or since is None:
        return texts("not asked yet")
    at = times.short(since, view.now, view.zone)
    if service.collect_ok:
        return texts("last answer %(ms)s ms at %(time)s", ms=f"{service.collect_took_ms or 0:.0f}", time=at)
    return texts.plural(
        "%(n)s answer failed since %(time)s",
        "%(n)s answers failed since %(time)s",
        max(1, service.collect_failures),
        time=at,
    )


def _up(view: View, days: list[Day]) -> dict[str, Any]:
    total = uptime.whole(days)
    return {
        "up_days": [_day(view, day, n, len(days)) for n, day in enumerate(days)],
        "up_percent": uptime.percent(total.share) if total.share is not None else "",
        "up_text": _up_text(view, total, sum(1 for day in days if day.judged)),
        "up_from": times.day(days[0].began, view.zone),
    }


def _up_text(view: View, total: Day, judged: int) -> str:
    texts = view.texts
    if not total.judged:
        return texts("no time yet in which its state was known")
    over = texts.plural("over %(n)s day", "over %(n)s days", judged)
    if not total.down:
        return " · ".join([over, texts("never down")])
    falls = texts.plural("down %(n)s time", "down %(n)s times", max(1, total.falls))
    return " · ".join([over, falls, texts("%(time)s in all", time=_length(view, total.down))])


def _day(view: View, day: Day, n: int, count: int) -> dict[str, Any]:
    """One bar: down on top in red, late below it, up the rest; never so low that it is not seen."""
    down = _part(day.down, day.judged)
    late = min(_part(day.late, day.judged), _HEIGHT - down)
    up = _HEIGHT - down - late if day.judged else 0
    return {
        "x": round(100 * n / count, 2),
        "title": _day_text(view, day),
        "untold": not day.judged and day.untold > 0,
        "down": (_TOP, down),
        "late": (_TOP + down, late),
        "up": (_TOP + down + late, up),
    }


def _part(length: int, whole: int) -> int:
    return max(_LEAST, round(_HEIGHT * length / whole)) if length else 0


def _day_text(view: View, day: Day) -> str:
    texts, date = view.texts, times.day(day.began, view.zone)
    if day.share is None:
        return " · ".join([date, texts("unknown") if day.untold else texts("nothing known")])
    down = texts("down %(time)s", time=_length(view, day.down)) if day.down else ""
    return " · ".join(part for part in (date, uptime.percent(day.share), down) if part)


def _length(view: View, length: int) -> str:
    """A length of time with its two largest units."""
    return times.alarming(view.texts, 0, max(SECOND, length))

"""Why a service is in its state: one sentence, the exact times and rules, and whether TaskDash itself can see. Pure. UI 6."""

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules.deadlines import Limits, cadence_s, heard_at, next_deadlines, slack_s
from taskdash.rules.sight import Source
from taskdash.store.state_history import MOST_OTHERS
from taskdash.web.pages import times
from taskdash.web.pages.render import View
from taskdash.web.pages.told import told

_JUDGED = frozenset({"up", "late", "down", "unknown"})


class Why(Struct, frozen=True):
    """The bold sentence, and what follows it."""

    sentence: str
    facts: list[str]


class Surroundings(Struct, frozen=True):
    """What else bears on the verdict: how many others were heard since, and what its input tells of itself."""

    others: int = 0
    source: Source | None = None


def why(view: View, service: Service, limits: Limits, around: Surroundings) -> Why:
    """As of the view's now."""
    facts = [_times(view, service, limits), _evidence(view, service), _sight(view, service, around)]
    return Why(_sentence(view, service, limits), [fact for fact in facts if fact])


def _sentence(view: View, service: Service, limits: Limits) -> str:
    texts, silent = view.texts, times.alarming(view.texts, _last_heard(service), view.now)
    if service.state == "new":
        return texts("Registered; waiting for the first beat") if service.interval_s else texts("Registered; not yet judged")
    if service.state == "left":
        return texts("It said goodbye and stopped on purpose; this is no alarm")
    if service.state == "paused":
        return texts("Muted: it is not judged, and nobody is told")
    if service.state == "down":
        return _down(view, service)
    if service.state == "unknown":
        return _unknown(view, service, silent)
    if service.state == "late":
        return _late(view, service, limits, silent)
    if service.flapping:
        return texts("It is up, but keeps changing between up and down; it is told once until it has been quiet")
    return texts("Its beats arrive in time") if service.interval_s else texts("It sends no beats, but its url answers in time")


def _last_heard(service: Service) -> Instant:
    """The last sign of life that its state is judged by."""
    if service.interval_s:
        return heard_at(service)
    return max(heard_at(service), service.collect_ok_at or 0)


def _down(view: View, service: Service) -> str:
    texts, silent = view.texts, times.alarming(view.texts, _last_heard(service), service.since)
    if not service.interval_s:
        return texts("Its url did not answer for %(time)s, and it sends no beats, so it is down", time=silent)
    if not service.url:
        return texts("No beat for %(time)s, and it has no url to ask, so it is down", time=silent)
    return texts("No beat for %(time)s, and its url, asked at once, did not answer either, so it is down", time=silent)


def _late(view: View, service: Service, limits: Limits, silent: str) -> str:
    texts = view.texts
    if not service.interval_s:
        return texts("Its url has not answered for %(time)s", time=silent)
    down_at = next_deadlines(heard_at(service), service.interval_s, limits).down_at
    if view.now >= down_at:
        return texts("No beat for %(time)s, but its url answers, so it is late and not down", time=silent)
    at = times.short(down_at, view.now, view.zone)
    return texts("No beat for %(time)s; without one it is down at %(at)s, unless its url answers", time=silent, at=at)


def _unknown(view: View, service: Service, silent: str) -> str:
    texts = view.texts
    if service.reason == "startup":
        return texts("No beat for %(time)s, but TaskDash itself has only just started, so it gives no verdict", time=silent)
    if service.reason == "mass":
        return texts("No beat for %(time)s, but many fell silent together, so the input itself is suspected", time=silent)
    return texts("No beat for %(time)s, but TaskDash cannot hear its input, so it gives no verdict", time=silent)


def _times(view: View, service: Service, limits: Limits) -> str:
    """When it was heard, and when it turns late and down by which rule."""
    texts, cadence = view.texts, cadence_s(service)
    if service.state not in _JUDGED:
        return ""
    heard = _last_heard(service)
    deadlines = next_deadlines(heard, cadence, limits)
    values = {
        "heard": times.short(heard, view.now, view.zone),
        "late": times.short(deadlines.late_at, view.now, view.zone),
        "down": times.short(deadlines.down_at, view.now, view.zone),
        "a": f"{limits.late_factor:g}",
        "b": f"{limits.down_factor:g}",
        "n": f"{cadence:g}",
        "slack": f"{slack_s(cadence):g}",
    }
    if service.interval_s:
        return texts(
            "Last heard %(heard)s; late at %(late)s (%(a)s × %(n)s s + %(slack)s s), down at %(down)s (%(b)s × %(n)s s + "
            "%(slack)s s) if its url does not answer then either.",
            **values,
        )
    return texts(
        "Last answer %(heard)s; late at %(late)s (%(a)s × %(n)s s + %(slack)s s), down at %(down)s (%(b)s × %(n)s s + "
        "%(slack)s s).",
        **values,
    )


def _evidence(view: View, service: Service) -> str:
    """The sentence that was written when its state was decided. What an operator wrote is told elsewhere."""
    if service.state == "paused" or not service.evidence:
        return ""
    sentence = told(view.texts, service.evidence, view.now, view.zone)
    return view.texts("When it was decided: %(evidence)s", evidence=sentence)


def _sight(view: View, service: Service, around: Surroundings) -> str:
    """Why TaskDash itself is not blind, or that it is."""
    texts, source = view.texts, around.source
    if service.state not in _JUDGED or not service.interval_s or not service.source:
        return ""
    if source is not None and not source.healthy:
        since = times.short(source.since, view.now, view.zone)
        return texts(
            "TaskDash cannot hear %(source)s since %(since)s: %(reason)s",
            source=source.name,
            since=since,
            reason=texts.told(source.reason),
        )
    if service.state == "up":
        return ""
    if around.others:
        return _others(view, around.others, service.source)
    if source is None:
        return ""
    since = times.short(source.since, view.now, view.zone)
    return texts(
        "%(source)s can be heard since %(since)s, but nobody else beat through it since then.", source=source.name, since=since
    )


def _others(view: View, n: int, source: str) -> str:
    shown = f"{MOST_OTHERS}+" if n >= MOST_OTHERS else n
    return view.texts.plural(
        "Since its last beat %(others)s other service was heard through %(source)s, so TaskDash itself is not blind.",
        "Since its last beat %(others)s other services were heard through %(source)s, so TaskDash itself is not blind.",
        n,
        others=shown,
        source=source,
    )

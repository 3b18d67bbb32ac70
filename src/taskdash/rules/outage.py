"""Whether TaskDash itself may be what is blind, for one service whose deadline has passed. Pure. SPEC 3.

Law: TaskDash's own blindness never turns a service down (RELIABILITY R10). `view` judges the input of a service: not yet
long enough after a start, lost, withdrawn, with a wrong clock. `suspect` judges silence that many share: without a witness
it is the input that is suspected.
"""

from typing import Any

from msgspec import Struct, field

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service, UnknownReason
from taskdash.rules.deadlines import Limits, cadence_s, slack_s
from taskdash.rules.evidence import duration, moment
from taskdash.rules.sight import URLS, Crowd, Sight, Skew, Source, newest_since

HOLD_INTERVALS = 3


class View(Struct, frozen=True, kw_only=True):
    """What the input of a service lets TaskDash know: nothing until `until` (None: while it lasts; 0: it sees)."""

    until: Instant | None = 0
    since: Instant = 0
    is_held: bool = False
    """The verdict alone waits; the service may be called late meanwhile."""
    reason: UnknownReason = ""
    key: str = ""
    """The template of its evidence, and its facts."""
    facts: dict[str, Any] = field(default_factory=dict)

    def is_blind(self, now: Instant) -> bool:
        """True while a verdict would be about TaskDash, not about the service."""
        return self.until is None or now < self.until


CLEAR = View()


class Suspicion(Struct, frozen=True):
    """So many fell silent together that the input itself is suspected. `until`: it has come back and is believed then."""

    crowd: Crowd
    until: Instant | None = None


def hold(service: Service) -> int:
    """One 3 I of the service."""
    return seconds(HOLD_INTERVALS * cadence_s(service))


def view(service: Service, heard: Instant, now: Instant, sight: Sight, limits: Limits) -> View:
    """What TaskDash can know of a service last heard at `heard`."""
    if not service.interval_s:
        return _since_start(service, heard, sight)
    source = sight.sources.get(service.source)
    if source is None or (source.withdrawn_at is not None and not source.healthy):
        return _without_source(service, heard, now, sight, source, limits)
    if not source.healthy:
        return _lost(source)
    since_heard = _since_heard(service, heard, sight, source, source.since, limits)
    if since_heard.is_blind(now):
        return since_heard
    return _wrong_clock(service, now, source) or _clock_was_wrong(service, heard, source) or since_heard


def _since_start(service: Service, heard: Instant, sight: Sight) -> View:
    """One that is judged by its url alone is given its time after a start, or else nobody would have asked it."""
    if heard >= sight.started_at:
        return CLEAR
    facts = {"started": moment(sight.started_at), "source": URLS}
    until = sight.started_at + hold(service)
    return View(until=until, since=sight.started_at, reason="startup", key="unknown_startup", facts=facts)


def _lost(source: Source) -> View:
    facts = {"source": source.name, "since": moment(source.since), "error": source.reason or "not connected"}
    reason: UnknownReason = "input" if source.was_lost else "startup"
    return View(until=None, since=source.since, reason=reason, key="unknown_input", facts=facts)


def _without_source(
    service: Service, heard: Instant, now: Instant, sight: Sight, source: Source | None, limits: Limits
) -> View:
    """Its input is not one of ours any more: that stops counting after one 3 I, then any other input that hears counts."""
    gone_at = sight.started_at if source is None or source.withdrawn_at is None else source.withdrawn_at
    facts = {"source": service.source or "its input", "since": moment(gone_at)}
    reason: UnknownReason = "startup" if source is None else "input"
    if now < gone_at + hold(service):
        return View(until=gone_at + hold(service), since=gone_at, reason=reason, key="unknown_withdrawn", facts=facts)
    others = [other for other in sight.sources.values() if other.healthy]
    if not others:
        return View(until=None, since=gone_at, reason=reason, key="unknown_withdrawn", facts=facts)
    longest = min(others, key=lambda other: other.since)
    return _since_heard(service, heard, sight, longest, max(longest.since, gone_at), limits)


def _since_heard(service: Service, heard: Instant, sight: Sight, source: Source, since: Instant, limits: Limits) -> View:
    """An input that began to be heard after the service's last beat must be heard for one 3 I, and for what nsqd may take
    to give the messages of a dead consumer to this one."""
    if heard >= since:
        return CLEAR
    until = since + max(hold(service), seconds(limits.redelivery_s))
    if source.was_lost:
        facts = {"source": source.name, "since": moment(since)}
        return View(until=until, since=since, reason="input", key="unknown_back", facts=facts)
    facts = {"source": source.name, "started": moment(sight.started_at)}
    return View(until=until, since=since, reason="startup", key="unknown_startup", facts=facts)


def _wrong_clock(service: Service, now: Instant, source: Source) -> View | None:
    """Unknown while all its messages arrive equally old; while that is not yet certain, no verdict."""
    slack = seconds(slack_s(service.interval_s))
    skew = source.skew
    if skew is None or skew.least <= slack:
        return None
    if is_established(skew, hold(service), slack):
        if now > skew.last + hold(service) + slack:
            return None
        facts = {"source": source.name, "offset": duration(skew.least)}
        return View(until=None, since=skew.since, reason="input", key="unknown_clock", facts=facts)
    until = skew.since + hold(service) + slack
    return View(until=until, since=skew.since, is_held=True) if now < until else None


def _clock_was_wrong(service: Service, heard: Instant, source: Source) -> View | None:
    """After its clock was set right, an input counts as heard again from that moment."""
    interval = seconds(service.interval_s)
    span = newest_since(source.skews, 2 * interval - seconds(slack_s(service.interval_s)), heard)
    if span is None:
        return None
    facts = {"source": source.name, "since": moment(span.ended)}
    return View(until=span.ended + hold(service), since=span.ended, reason="input", key="unknown_back", facts=facts)


def is_established(skew: Skew, length: int, slack: int) -> bool:
    """Whether messages came equally old for `length`."""
    return skew.last - skew.since >= length - slack


def suspect(service: Service, heard: Instant, sight: Sight, limits: Limits) -> Suspicion | None:
    """The mass rule: many of its input fell silent with it, and no beat of anyone came since it should have beaten twice.

    When the input was silent for so long and has just come back, those on it have an interval to be heard again.
    """
    crowd = sight.crowds.get(service.source if service.interval_s else URLS)
    if crowd is None or crowd.silent < max(limits.mass_least, limits.mass_share * crowd.all):
        return None
    interval = seconds(cadence_s(service))
    if crowd.newest_at is None or crowd.newest_at <= missed_twice_at(service, heard):
        return Suspicion(crowd)
    source = sight.sources.get(service.source)
    silence = newest_since(source.silences, 2 * interval, heard) if source else None
    if silence is None:
        return None
    return Suspicion(crowd, silence.ended + interval + seconds(slack_s(cadence_s(service))))


def missed_twice_at(service: Service, heard: Instant) -> Instant:
    """When it should have beaten twice: a witness is who beat after that."""
    return heard + 2 * seconds(cadence_s(service))


def returned_since(sight: Sight, source: str, heard: Instant) -> bool:
    """Whether the input fell silent and came back since: then even a witness does not settle it."""
    known = sight.sources.get(source)
    return known is not None and newest_since(known.silences, 0, heard) is not None

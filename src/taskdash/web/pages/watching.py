"""Services that are late or unknown: the evidence, and when a verdict falls. Nobody is notified of them. Pure. UI 6 (Now)."""

from collections.abc import Iterable

from msgspec import Struct

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Service
from taskdash.rules import outage
from taskdash.rules.deadlines import Limits, alive_at, cadence_s, next_deadlines
from taskdash.rules.sight import Sight, Source
from taskdash.web.pages import links, times, words
from taskdash.web.pages.render import View
from taskdash.web.pages.told import told
from taskdash.web.pages.words import Word


class Watched(Struct, frozen=True, kw_only=True):
    """One service that is watched."""

    id: str
    word: Word
    name: str
    href: str
    since: Instant
    evidence: str
    verdict: str
    tasks: int


def watched(view: View, service: Service, inputs: Iterable[Source], limits: Limits) -> Watched:
    """The row of one service."""
    return Watched(
        id=service.id,
        word=words.word(words.STATES, service.state),
        name=service.name or service.id,
        href=links.service(service.id),
        since=service.since,
        evidence=told(view.texts, service.evidence, view.now, view.zone),
        verdict=_verdict(view, service, inputs, limits),
        tasks=service.task_total,
    )


def _verdict(view: View, service: Service, inputs: Iterable[Source], limits: Limits) -> str:
    texts, at = view.texts, verdict_at(service, view.now, inputs, limits)
    if at is not None and at > view.now:
        return texts("Verdict at %(time)s", time=times.short(at, view.now, view.zone))
    if at is not None:
        return texts("No verdict while its url answers") if service.state == "late" and service.url else texts("Verdict due")
    return texts("No verdict while its input is lost")


def verdict_at(service: Service, now: Instant, inputs: Iterable[Source], limits: Limits) -> Instant | None:
    """When a silent service is called down or well; None: not while its input is lost. The past: its url decides."""
    heard = alive_at(service)
    down_at = next_deadlines(heard, cadence_s(service), limits).down_at
    if service.state != "unknown":
        return down_at
    if service.reason == "mass":
        return max(down_at, service.since + seconds(limits.mass_hold_s))
    sight = Sight(started_at=service.since, sources={each.name: each for each in inputs})
    until = outage.view(service, heard, now, sight, limits).until
    return None if until is None else max(down_at, until)

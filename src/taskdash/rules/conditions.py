"""What is wrong right now apart from services that fell silent: inputs, collections, clashes, dead letters, the store.
Pure. SPEC 7.
"""

from collections.abc import Iterable, Set

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import DeadLetter, Service
from taskdash.rules.deadlines import Limits, slack_s
from taskdash.rules.evidence import duration, moment, say
from taskdash.rules.incidents import Condition
from taskdash.rules.sight import Skew, Source

USUAL_INTERVAL_S = 10.0
"""A node's clock is told to be wrong as a service of the default interval would see it."""
_EXCUSED = frozenset({"down", "left", "paused"})
"""A service in one of these states is not expected to answer."""


def of_inputs(sources: Iterable[Source], now: Instant, limits: Limits, known: Set[str]) -> list[Condition]:
    """Inputs that are lost, or whose clock is wrong. `known`: causes that are open; those end only after the grace too."""
    found: list[Condition] = []
    for source in sources:
        is_settled = now - source.since >= seconds(limits.input_grace_s)
        if source.healthy:
            if _is_wrong(source.skew, now):
                found.append(_wrong_clock(source))
            elif source.name in known and not is_settled:
                found.append(_lost(source))
        elif is_settled and source.withdrawn_at is None:
            found.append(_lost(source))
    return found


def _lost(source: Source) -> Condition:
    return Condition(
        kind="input",
        cause=source.name,
        at=source.since,
        sentence=say("input_lost", source=source.name),
        evidence=say("input_lost_why", at=moment(source.since), error=source.reason or "not connected"),
    )


def _is_wrong(skew: Skew | None, now: Instant) -> bool:
    length = seconds(3 * USUAL_INTERVAL_S)
    slack = seconds(slack_s(USUAL_INTERVAL_S))
    return skew is not None and skew.last - skew.since >= length - slack and now - skew.last <= length + slack


def _wrong_clock(source: Source) -> Condition:
    since, offset = (source.skew.since, source.skew.least) if source.skew else (source.since, 0)
    return Condition(
        kind="input",
        cause=source.name,
        at=since,
        sentence=say("input_clock", source=source.name),
        evidence=say("input_clock_why", at=moment(since), offset=duration(offset)),
    )


def of_collection(failing: Iterable[Service], now: Instant, limits: Limits) -> list[Condition]:
    """Services that should answer and have not been collected for 10 intervals."""
    return [
        Condition(
            kind="collect",
            cause=service.id,
            at=service.collect_error_at,
            sentence=say("not_collected", name=service.name or service.id),
            evidence=say("not_collected_why", at=moment(service.collect_error_at), error=service.collect_error),
            services=(service.id,),
        )
        for service in failing
        if service.collect_error_at is not None and is_uncollected(service, now, limits)
    ]


def is_uncollected(service: Service, now: Instant, limits: Limits) -> bool:
    """Whether it fails for so long that people should know, and nothing else explains it."""
    if service.collect_error_at is None or service.archived_at is not None or service.state in _EXCUSED:
        return False
    return now - service.collect_error_at >= seconds(limits.collect_intervals * service.collect_interval_s)


def of_clashes(clashing: Iterable[tuple[Service, int, str, Instant]]) -> list[Condition]:
    """(the service that reports, how many ids belong to others, the first of them, since when)."""
    return [
        Condition(
            kind="clash",
            cause=service.id,
            at=at,
            sentence=say("clash", name=service.name or service.id),
            evidence=say("clash_why", n=n, task=task),
            services=(service.id,),
        )
        for service, n, task, at in clashing
    ]


def of_dead_letters(newest: DeadLetter | None, now: Instant, limits: Limits) -> list[Condition]:
    """Dead letters, until ten minutes passed without another."""
    if newest is None or now - newest.at >= seconds(limits.quiet_s):
        return []
    why = say("dead_letters_why", at=moment(newest.at), topic=newest.topic, error=newest.reason)
    return [Condition(kind="dead_letters", cause="dead_letters", at=newest.at, sentence=say("dead_letters"), evidence=why)]


def of_store(refuses_since: Instant | None, reason: str) -> list[Condition]:
    """The store refuses since an instant, or None."""
    if refuses_since is None:
        return []
    why = say("store_refuses_why", at=moment(refuses_since), error=reason)
    return [Condition(kind="store", cause="store", at=refuses_since, sentence=say("store_refuses"), evidence=why)]

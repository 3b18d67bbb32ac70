"""Why one task is at risk, and whether what is shown of it is stale. Pure. SPEC 3, 6.

The board filters by the same words over columns (`store`); this is the sum for one task, and the store's tests hold the two
together. To be unowned alone is not a risk, and a gone task has none.
"""

from typing import Literal, get_args

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Service, Task, User

Word = Literal["late", "down", "unknown", "stale", "failed", "should_run", "disabled", "away"]
WORDS: tuple[Word, ...] = get_args(Word)
ILL = frozenset({"late", "down", "unknown"})
BLIND = frozenset({"down", "unknown", "left"})
"""States of a service in which nobody can tell how its tasks do."""


class Reason(Struct, frozen=True):
    """One reason; `since` is None where nobody wrote it down."""

    reason: Word
    since: Instant | None = None


class Staleness(Struct, frozen=True):
    """What is shown of a task is old: since when, where that is known."""

    since: Instant | None = None


def staleness(task: Task, service: Service | None, now: Instant) -> Staleness | None:
    """Its service cannot be heard, was not collected for 3 intervals, or the connection that vouched for it is gone."""
    if service is not None and service.state in BLIND:
        return Staleness(service.since)
    if service is not None and service.fresh_until is not None and service.fresh_until < now:
        return Staleness(service.fresh_until)
    return Staleness() if task.adrift else None


def reasons(task: Task, service: Service | None, holder: User | None, now: Instant) -> tuple[Reason, ...]:
    """All that puts the task at risk, in the order of `WORDS`. `service` and `holder`: the records of its ids, if any."""
    if task.gone_at is not None:
        return ()
    found: list[Reason] = []
    if service is not None and service.state in ILL:
        found.append(Reason(service.state, service.since))  # type: ignore[arg-type]
    if stale := staleness(task, service, now):
        found.append(Reason("stale", stale.since))
    if task.status == "failed":
        found.append(Reason("failed", task.status_at))
    if task.schedule == "should_run":
        found.append(Reason("should_run"))
    return (*found, *_of_the_holder(holder, now))


def _of_the_holder(holder: User | None, now: Instant) -> tuple[Reason, ...]:
    if holder is None:
        return ()
    if holder.disabled:
        return (Reason("disabled"),)
    return (Reason("away"),) if holder.away_until is not None and holder.away_until > now else ()

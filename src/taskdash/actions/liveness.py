"""The tick of liveness, and what operators do to a service: pause, resume, archive. One function, one transaction. SPEC 3.

Law: a change of state, its event and its incident are one transaction; a service that somebody else changed meanwhile is
left to the next tick. One bad row never stops the loop: it is pushed on and counted.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import BadField, Conflict, Forbidden, NotFound
from taskdash.health import Input, Inputs
from taskdash.model import fields
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, NewEvent, Service
from taskdash.rules import judgement, liveness, outage, roles
from taskdash.rules.deadlines import Limits, alive_at
from taskdash.rules.fleet import Heard
from taskdash.rules.incidents import Change, after_changes
from taskdash.rules.liveness import UrlAnswer
from taskdash.rules.sight import URLS, Crowd, Sight, Source
from taskdash.store import events, incidents, services, silence
from taskdash.store.database import Store

PAGE = 1_000
BAD_ROW_WAITS_S = 60.0
INCIDENTS = ("down", "flapping")
_DEFAULTS = Limits()
log = logging.getLogger(__name__)
Answers = Mapping[str, UrlAnswer]


def source_of(told: Input) -> Source:
    """What an input tells of itself, as the rules take it."""
    return Source(
        name=told.name,
        healthy=told.healthy,
        since=told.since,
        reason=told.reason,
        withdrawn_at=told.withdrawn_at,
        last_message_at=told.last_message_at,
    )


def heard(inputs: Inputs) -> list[Heard]:
    """What the inputs of this process tell of themselves, for its own report and for the others'."""
    return [Heard(source_of(told), told.lag) for told in inputs]


class Ticked(Struct, frozen=True):
    """What a tick did: how many services it judged, which urls are to be asked now, how many rows could not be judged."""

    judged: int = 0
    asks: tuple[Service, ...] = ()
    bad: int = 0
    crowds: dict[str, Crowd] = {}
    """The crowds that it needed: give them to the tick of the next page."""

    @property
    def is_whole_page(self) -> bool:
        """More may be due: tick again at once."""
        return self.judged >= PAGE


async def tick(db: Store, now: Instant, sight: Sight, answers: Answers, limits: Limits = _DEFAULTS) -> Ticked:
    """Judge the services whose stored deadline has passed, oldest first, at most a page of them."""
    if not await db.read(lambda conn: silence.is_any_due(conn, now)):
        return Ticked()
    return await db.write(lambda conn: _tick(conn, now, sight, answers, limits))


def _tick(conn: Connection, now: Instant, sight: Sight, answers: Answers, limits: Limits) -> Ticked:
    due, bad = _due(conn, now, limits)
    sight = structs.replace(sight, crowds=_crowds(conn, due, now, sight, answers, limits))
    changes: list[Change] = []
    moves: list[Change] = []
    new: dict[str, list[NewEvent]] = {}
    for service in due:
        after, told = _judged(service, now, sight, answers, limits)
        bad += after is None
        after = after or structs.replace(service, due_at=now + seconds(BAD_ROW_WAITS_S))
        (changes if _is_change(service, after) else moves).append((service, after))
        new[service.id] = told
    changes = silence.compare_and_set(conn, changes)
    silence.push_on(conn, moves)
    events.append(conn, [event for _, after in changes for event in new[after.id]])
    _open_incidents(conn, [*changes, *(move for move in moves if move[1].flapping)], limits)
    asks = tuple(after for _, after in (*changes, *moves) if judgement.needs_answer(after, now, limits))
    return Ticked(len(due), asks, bad, sight.crowds)


def _due(conn: Connection, now: Instant, limits: Limits) -> tuple[list[Service], int]:
    """Who is due; rows that cannot even be read are pushed on and counted."""
    try:
        due = services.due(conn, now, PAGE)
        for service in due:
            judgement.faces_verdict(service, now, limits)
    except Exception:
        log.exception("a service could not be read; each is read on its own")
    else:
        return due, 0
    return _due_one_by_one(conn, now, limits)


def _due_one_by_one(conn: Connection, now: Instant, limits: Limits) -> tuple[list[Service], int]:
    found: list[Service] = []
    bad = 0
    for pk in silence.due_pks(conn, now, PAGE):
        try:
            service = silence.load_by_pk(conn, pk)
            judgement.faces_verdict(service, now, limits)
            found.append(service)
        except Exception:
            log.exception("the service in row %d cannot be judged; it is looked at again later", pk)
            silence.push_on_blindly(conn, pk, now + seconds(BAD_ROW_WAITS_S))
            bad += 1
    return found, bad


def _judged(
    service: Service, now: Instant, sight: Sight, answers: Answers, limits: Limits
) -> tuple[Service | None, list[NewEvent]]:
    """None: a mistake of ours, which must not stop the others."""
    try:
        return judgement.next_state(service, now, sight, answers.get(service.id), limits)
    except Exception:
        log.exception("the service %s could not be judged; it is looked at again later", service.id)
        return None, []


def _is_change(before: Service, after: Service) -> bool:
    """More than the deadline and the evidence changed."""
    return structs.replace(before, due_at=after.due_at, evidence=after.evidence) != after


def _crowds(
    conn: Connection, due: Sequence[Service], now: Instant, sight: Sight, answers: Answers, limits: Limits
) -> dict[str, Crowd]:
    """The crowd of each input that has a service past its limit and no plain witness: else it would decide nothing."""
    facing: dict[str, list[Service]] = {}
    for service in due:
        if judgement.faces_verdict(service, now, limits):
            facing.setdefault(service.source if service.interval_s else URLS, []).append(service)
    facing = {source: some for source, some in facing.items() if source not in sight.crowds}
    silent = [source for source, some in facing.items() if not _has_witness(conn, source, some, sight)]
    if not silent:
        return sight.crowds
    collected_at = silence.newest_answer_at(conn) or 0
    newest = max([answer.at for answer in answers.values() if answer.ok] + [collected_at]) or None
    found = {source: structs.replace(silence.crowd(conn, source, now), answered_at=newest) for source in silent}
    return sight.crowds | found


def _has_witness(conn: Connection, source: str, some: Sequence[Service], sight: Sight) -> bool:
    heard = [alive_at(service) for service in some]
    if source == URLS or outage.returned_since(sight, source, min(heard)):
        return False
    last_missed_at = max(outage.missed_twice_at(service, at) for service, at in zip(some, heard, strict=True))
    return silence.has_beat_since(conn, source, last_missed_at)


def _open_incidents(conn: Connection, changes: Sequence[Change], limits: Limits) -> None:
    if not changes:
        return
    changed, new = after_changes(incidents.opened(conn, INCIDENTS), changes, limits)
    incidents.save(conn, changed)
    events.append(conn, new)


async def pause(db: Store, actor: Actor, service_id: str, reason: str, until: Instant | None, now: Instant) -> Service:
    """Mute a service, with a reason and, if wanted, an end. Raises BadField, Forbidden, NotFound."""
    fields.check_short(reason, "reason")
    if not reason.strip():
        raise BadField("reason must say why the service is paused", field="reason")
    if until is not None and until <= now:
        raise BadField("until must be in the future", field="until")
    return await _operate(db, actor, "pause", service_id, lambda service: liveness.pause(service, actor, reason, until, now))


async def resume(db: Store, actor: Actor, service_id: str, now: Instant, limits: Limits = _DEFAULTS) -> Service:
    """End the pause; the service is judged from now. Raises Forbidden, NotFound."""
    return await _operate(db, actor, "resume", service_id, lambda service: liveness.resume(service, actor, now, now, limits))


async def archive(db: Store, actor: Actor, service_id: str, now: Instant) -> Service:
    """Hide it until it is heard again. Raises Forbidden, NotFound."""
    return await _operate(db, actor, "archive", service_id, lambda service: liveness.archive(service, actor, now))


async def _operate(
    db: Store,
    actor: Actor,
    action: roles.Action,
    service_id: str,
    decide: Callable[[Service], liveness.Outcome],
) -> Service:
    if sentence := roles.refusal(actor, action):
        raise Forbidden(sentence)

    def change(conn: Connection) -> Service:
        service = services.load(conn, service_id)
        if service is None:
            raise NotFound(f"no service has the id {service_id}")
        after, new = decide(service)
        if after is not service and not silence.compare_and_set(conn, [(service, after)]):
            raise Conflict("the service changed at the same moment; try again")
        events.append(conn, new)
        return after

    return await db.write(change)

"""The tick of liveness, and what operators do to a service: pause, resume, archive. One function, one transaction. SPEC 3.

Law: a change of state, its event and its incident are one transaction; a service that somebody else changed meanwhile is
left to the next tick. One bad row never stops the loop: it is pushed on and counted.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import BadField, Conflict, Forbidden, NotFound
from taskdash.model import fields
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, NewEvent, Service
from taskdash.rules import judgement, liveness, roles
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import Change, after_changes
from taskdash.rules.liveness import UrlAnswer
from taskdash.rules.sight import URLS, Crowd, Sight
from taskdash.store import events, incidents, services, silence
from taskdash.store.database import Database

PAGE = 1_000
BAD_ROW_WAITS_S = 60.0
INCIDENTS = ("down", "flapping")
_DEFAULTS = Limits()
log = logging.getLogger(__name__)
Answers = Mapping[str, UrlAnswer]


class Ticked(Struct, frozen=True):
    """What a tick did: how many services it judged, which urls are to be asked now, how many rows could not be judged."""

    judged: int = 0
    asks: tuple[Service, ...] = ()
    bad: int = 0

    @property
    def is_whole_page(self) -> bool:
        """More may be due: tick again at once."""
        return self.judged >= PAGE


async def tick(db: Database, now: Instant, sight: Sight, answers: Answers, limits: Limits = _DEFAULTS) -> Ticked:
    """Judge the services whose stored deadline has passed, oldest first, at most a page of them."""
    if not await db.read(lambda conn: silence.is_any_due(conn, now)):
        return Ticked()
    return await db.write(lambda conn: _tick(conn, now, sight, answers, limits))


def _tick(conn: Connection, now: Instant, sight: Sight, answers: Answers, limits: Limits) -> Ticked:
    due, bad = _due(conn, now, limits)
    sight = structs.replace(sight, crowds=_crowds(conn, due, now, answers, limits))
    pairs: list[Change] = []
    new: list[NewEvent] = []
    for service in due:
        after, told = _judged(service, now, sight, answers, limits)
        bad += after is None
        after = after or structs.replace(service, due_at=now + seconds(BAD_ROW_WAITS_S))
        if _store(conn, service, after):
            pairs.append((service, after))
            new += told
    silence.push_on(conn, [pair for pair in pairs if not _is_change(*pair)])
    events.append(conn, new)
    _open_incidents(conn, [pair for pair in pairs if _is_change(*pair) or pair[1].flapping], limits)
    asks = tuple(after for _, after in pairs if judgement.needs_answer(after, now, limits))
    return Ticked(len(due), asks, bad)


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


def _store(conn: Connection, before: Service, after: Service) -> bool:
    """False when somebody else was quicker. Mere deadlines are moved together afterwards."""
    return silence.compare_and_set(conn, before, after) if _is_change(before, after) else True


def _crowds(conn: Connection, due: Sequence[Service], now: Instant, answers: Answers, limits: Limits) -> dict[str, Crowd]:
    """The crowd of each input that has a service past its limit."""
    facing = [service for service in due if judgement.faces_verdict(service, now, limits)]
    sources = {service.source if service.interval_s else URLS for service in facing}
    if not sources:
        return {}
    collected_at = silence.newest_answer_at(conn) or 0
    answered_at = max((answer.at for answer in answers.values() if answer.ok), default=0)
    newest = max(collected_at, answered_at) or None
    return {source: structs.replace(silence.crowd(conn, source, now), answered_at=newest) for source in sources}


def _open_incidents(conn: Connection, changes: Sequence[Change], limits: Limits) -> None:
    if not changes:
        return
    changed, new = after_changes(incidents.opened(conn, INCIDENTS), changes, limits)
    incidents.save(conn, changed)
    events.append(conn, new)


async def pause(db: Database, actor: Actor, service_id: str, reason: str, until: Instant | None, now: Instant) -> Service:
    """Mute a service, with a reason and, if wanted, an end. Raises BadField, Forbidden, NotFound."""
    fields.check_short(reason, "reason")
    if not reason.strip():
        raise BadField("reason must say why the service is paused", field="reason")
    if until is not None and until <= now:
        raise BadField("until must be in the future", field="until")
    return await _operate(db, actor, "pause", service_id, lambda service: liveness.pause(service, actor, reason, until, now))


async def resume(db: Database, actor: Actor, service_id: str, now: Instant, limits: Limits = _DEFAULTS) -> Service:
    """End the pause; the service is judged from now. Raises Forbidden, NotFound."""
    return await _operate(db, actor, "resume", service_id, lambda service: liveness.resume(service, actor, now, now, limits))


async def archive(db: Database, actor: Actor, service_id: str, now: Instant) -> Service:
    """Hide it until it is heard again. Raises Forbidden, NotFound."""
    return await _operate(db, actor, "archive", service_id, lambda service: liveness.archive(service, actor, now))


async def _operate(
    db: Database,
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
        if after is not service and not silence.compare_and_set(conn, service, after):
            raise Conflict("the service changed at the same moment; try again")
        events.append(conn, new)
        return after

    return await db.write(change)

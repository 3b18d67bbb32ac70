"""Registration and beat by plain HTTP, and the removal of a service. One function, one transaction. SPEC 3, 8."""

from msgspec import UNSET, structs
from sqlalchemy import Connection

from taskdash.actions.arrivals import Heard, Told
from taskdash.actions.intake import Batch
from taskdash.errors import Forbidden, NotFound
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Heartbeat, Registration, Sender, Service, Task
from taskdash.rules import roles
from taskdash.rules.deadlines import Limits
from taskdash.rules.registration import is_leaving
from taskdash.rules.requests import event_of
from taskdash.rules.transitions import service_event
from taskdash.store import events, senders, services, task_picks, tasks
from taskdash.store.database import Database

HTTP = "http"
"""The name of this input in `health.Inputs`."""
_DEFAULTS = Limits()
_STEP = 500


async def register_service(
    db: Database, actor: Actor, registration: Registration, now: Instant, *, limits: Limits = _DEFAULTS, source: str = HTTP
) -> Service:
    """The service after POST /services, with its pk. Raises Forbidden."""
    _allow_ingest(actor)

    def change(conn: Connection) -> Service:
        batch = Batch(conn, now, limits)
        batch.register([Told(registration, now, source, actor)])
        batch.save()
        return services.load_many(conn, [registration.id])[registration.id]

    return await db.write(change)


async def heartbeat(
    db: Database,
    actor: Actor,
    beat: Heartbeat,
    now: Instant,
    *,
    limits: Limits = _DEFAULTS,
    source: str = HTTP,
    sender: str = "",
) -> None:
    """One beat, or a goodbye in its `reserved`. Raises Forbidden, or NotFound for an unknown id, which is then listed."""
    _allow_ingest(actor)
    one = (now, source)
    leaving = beat.reserved is not UNSET and is_leaving(beat.reserved)
    heard = Heard([] if leaving else [one], [one] if leaving else [], 1, sender)

    def change(conn: Connection) -> list[Sender]:
        batch = Batch(conn, now, limits)
        unregistered = batch.hear({beat.id: heard})
        batch.save()
        senders.add(conn, unregistered)
        return unregistered

    if await db.write(change):
        raise NotFound(f"no service has the id {beat.id}; register it first")


def _allow_ingest(actor: Actor) -> None:
    if sentence := roles.refusal(actor, "ingest"):
        raise Forbidden(sentence)


async def delete_service(db: Database, actor: Actor, service_id: str, now: Instant) -> None:
    """Remove a service for good (admin): first its tasks become gone, without service, a step of 500 at a time.

    Whoever repeats it after a failure finishes what is left. Raises Forbidden, NotFound.
    """
    if sentence := roles.refusal(actor, "delete"):
        raise Forbidden(sentence)
    while await db.write(lambda conn: _orphan_some(conn, actor, service_id, now)):
        continue
    await db.write(lambda conn: _remove(conn, actor, service_id, now))


def _orphan_some(conn: Connection, actor: Actor, service_id: str, now: Instant) -> int:
    service = _known(conn, service_id)
    some = task_picks.of_service(conn, service.id, _STEP)
    orphans = [(task, _orphan(task, now)) for task in some]
    tasks.save(conn, orphans)
    was, told, why = {"gone": False}, {"gone": True}, f"its service {service_id} was removed"
    fresh = [after for before, after in orphans if before.gone_at is None]
    events.append(conn, [event_of("task.gone", task, actor, now, was, told, why) for task in fresh])
    return len(some)


def _orphan(task: Task, now: Instant) -> Task:
    gone_at = now if task.gone_at is None else task.gone_at
    return structs.replace(task, service_id="", gone_at=gone_at, updated_at=now)


def _remove(conn: Connection, actor: Actor, service_id: str, now: Instant) -> None:
    service = _known(conn, service_id)
    services.remove(conn, service)
    before = {"name": service.name, "type": service.type, "url": service.url}
    events.append(conn, [service_event(service, "service.removed", now, actor, before, {}, "")])


def _known(conn: Connection, service_id: str) -> Service:
    service = services.load(conn, service_id)
    if service is None:
        raise NotFound(f"no service has the id {service_id}")
    return service

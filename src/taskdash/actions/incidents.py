"""Opening, ending, acknowledging and reminding of incidents. One function, one transaction. SPEC 7.

Those of services that go down or flap are opened by the tick (`actions.liveness`); the others follow from conditions that
the monitor finds.
"""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection

from taskdash.errors import Forbidden, NotFound
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, DeadLetter, Incident
from taskdash.rules import conditions, incidents, roles
from taskdash.rules.deadlines import Limits
from taskdash.rules.incidents import Condition
from taskdash.store import dead_letters, events
from taskdash.store import incidents as stored
from taskdash.store.database import Store

OF_SERVICES = ("down", "flapping")


async def opened(db: Store) -> list[Incident]:
    """All that are not resolved."""
    return await db.read(stored.opened)


async def keep(db: Store, kinds: Collection[str], wrong: Sequence[Condition], now: Instant, limits: Limits) -> None:
    """Open what is wrong, resolve what is not any more, for these kinds. Writes only when something changed."""

    def decide(conn: Connection) -> incidents.Outcome:
        opened = stored.opened(conn, kinds)
        known = {(incident.kind, incident.cause) for incident in opened}

        def as_told(each: Condition) -> Condition:
            if (each.kind, each.cause) in known:
                return each
            return incidents.not_before(each, stored.ended_at(conn, each.kind, each.cause))

        return incidents.reconciled(opened, [as_told(each) for each in wrong], now, limits)

    await _write_if_needed(db, decide)


async def keep_past(db: Store, kind: str, past: Sequence[Condition], now: Instant, limits: Limits) -> None:
    """As `keep`, for what can only be told once it is over: each trouble once, however many instances have met it."""

    def decide(conn: Connection) -> incidents.Outcome:
        new = incidents.untold(past, stored.ended_at(conn, kind))
        return incidents.reconciled(stored.opened(conn, (kind,)), new, now, limits)

    await _write_if_needed(db, decide)


async def settle(db: Store, now: Instant) -> None:
    """Resolve those of services that are well again."""

    def decide(conn: Connection) -> incidents.Outcome:
        over = [i for i in stored.opened(conn, OF_SERVICES) if incidents.is_over(i, stored.services_of(conn, i))]
        resolved = [incidents.resolve(incident, now) for incident in over]
        return [incident for incident, _ in resolved], [event for _, event in resolved]

    await _write_if_needed(db, decide)


async def remind(db: Store, now: Instant, limits: Limits) -> list[Incident]:
    """Those that nobody acknowledged and whose reminder is due, with the next reminder ahead."""

    def decide(conn: Connection) -> incidents.Outcome:
        due = [i for i in stored.opened(conn) if i.next_reminder_at is not None and i.next_reminder_at <= now]
        return [incidents.reminded(incident, now, limits) for incident in due], []

    return await _write_if_needed(db, decide)


async def _write_if_needed(db: Store, decide: Callable[[Connection], incidents.Outcome]) -> list[Incident]:
    """Look first without a transaction: nearly always there is nothing to write."""

    def change(conn: Connection) -> list[Incident]:
        changed, new = decide(conn)
        stored.save(conn, changed)
        events.append(conn, new)
        return changed

    changed, _ = await db.read(decide)
    return await db.write(change) if changed else []


async def acknowledge(db: Store, actor: Actor, incident_id: str, now: Instant) -> Incident:
    """Say that the actor looks after it; again: nothing changes. Raises Forbidden, NotFound."""
    if sentence := roles.refusal(actor, "acknowledge"):
        raise Forbidden(sentence)

    def change(conn: Connection) -> Incident:
        incident = stored.load(conn, incident_id)
        if incident is None:
            raise NotFound(f"no incident has the id {incident_id}")
        after, new = incidents.acknowledge(incident, actor, now)
        if new:
            stored.save(conn, [after])
            events.append(conn, new)
        return after

    return await db.write(change)


async def found_in_store(db: Store, now: Instant, limits: Limits) -> list[Condition]:
    """What the tables tell is wrong: collections, clashes, dead letters."""

    def look(conn: Connection) -> list[Condition]:
        newest: DeadLetter | None = next(iter(dead_letters.page(conn, limit=1)), None)
        return [
            *conditions.of_collection(stored.failing(conn), now, limits),
            *conditions.of_clashes(stored.clashing(conn)),
            *conditions.of_dead_letters(newest, now, limits),
        ]

    return await db.read(look)

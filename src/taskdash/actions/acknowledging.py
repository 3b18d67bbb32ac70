"""Inside the transaction of a claim: the incidents that it acknowledges, for its task or as a whole. SPEC 7."""

from collections.abc import Sequence

from sqlalchemy import Connection

from taskdash.model.instants import Instant
from taskdash.model.records import Actor, NewEvent, Task
from taskdash.rules import acknowledgement
from taskdash.rules.incidents import acknowledge
from taskdash.store import incidents, task_picks


def after_claims(conn: Connection, actor: Actor, claimed: Sequence[Task], now: Instant) -> list[NewEvent]:
    """The lines of history that these claims, already saved, add to open incidents; the incidents are saved."""
    if not any(task.service_id for task in claimed):
        return []
    new: list[NewEvent] = []
    for incident in incidents.opened(conn):
        affected = [task for task in claimed if acknowledgement.affects(incident, task)]
        if not affected:
            continue
        new.extend(acknowledgement.for_tasks(incident, affected, actor, now))
        if not task_picks.any_unowned(conn, incident.services):
            known, events = acknowledge(incident, actor, now)
            incidents.save(conn, [known])
            new.extend(events)
    return new

"""Claiming an affected task acknowledges its incident for that task (SPEC 7). Pure.

An incident as a whole stays open while somebody's help is missing: it is acknowledged by whoever takes its last unowned task.
"""

from collections.abc import Sequence

from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Incident, NewEvent, Task


def affects(incident: Incident, task: Task) -> bool:
    """True when the incident is open and about the task's service."""
    return incident.state == "open" and bool(task.service_id) and task.service_id in incident.services


def for_tasks(incident: Incident, claimed: Sequence[Task], actor: Actor, now: Instant) -> list[NewEvent]:
    """One line in the incident's history for each task of it that was claimed."""
    return [
        NewEvent(
            at=now,
            kind="incident.acknowledged",
            subject_type="incident",
            subject_id=incident.id,
            actor_type=actor.type,
            actor_id=actor.id,
            channel=actor.channel,
            after={"task": task.id},
            evidence=incident.sentence,
        )
        for task in claimed
    ]

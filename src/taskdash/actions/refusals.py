"""From a rule's Refused to the one error that the entrances know how to say (SPEC 6, 8)."""

from taskdash.errors import BadField, Conflict, Forbidden, TaskDashError, UnknownTask, VersionMissing
from taskdash.model.instants import to_rfc3339_or_none
from taskdash.model.records import Actor, Task
from taskdash.rules import roles
from taskdash.rules.binding import Accepted, Decision, Refused


def accepted(decision: Decision, task: Task) -> Accepted:
    """The decision when it was accepted; else raises its error. `task`: as it is stored, for the answer of a 409."""
    if isinstance(decision, Refused):
        raise error_of(decision, task)
    return decision


def error_of(refused: Refused, task: Task) -> TaskDashError:
    """The error of a refusal; a Conflict carries `holder` {user, since} and `task` (a Task)."""
    if refused.kind == "forbidden":
        return Forbidden(refused.sentence)
    if refused.kind == "version_missing":
        return VersionMissing(refused.sentence, field=refused.field)
    if refused.kind == "field":
        return BadField(refused.sentence, field=refused.field)
    holder = {"user": refused.holder, "since": to_rfc3339_or_none(refused.since)}
    return Conflict(refused.sentence, holder=holder, task=task)


def visible(task: Task | None, task_id: str, actor: Actor, visibility: roles.Visibility) -> Task:
    """The task, if it is there and this caller may see it; else raises UnknownTask, the same for both (SPEC 6)."""
    if task is None or not roles.may_see(actor, task, visibility):
        raise UnknownTask(f"no task has the id {task_id}")
    return task

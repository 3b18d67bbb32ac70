"""What of services, incidents and history a caller may see: the same rule for pages, lists, exports and streams. R146, R147.

With `access.visibility = "all"` that is everything. With "groups" a viewer or member sees what concerns a task they may see; no
dead letter and no unregistered sender, for whose they are nobody knows. Sessions and tokens are for admins.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from taskdash.actions import refusals
from taskdash.errors import NotFound
from taskdash.model.records import Actor, Event, Incident, Service, Task
from taskdash.rules import roles
from taskdash.rules.roles import Visibility
from taskdash.store import incidents, services, sight, tasks
from taskdash.store.task_filters import Visible

_OF_A_PERSON = ("user", "session")
_FOR_ADMINS = frozenset({"session", "token"})
"""Where people signed in, and which tokens there are."""


def visible_to(actor: Actor, visibility: Visibility) -> Visible | None:
    """The restriction of a list to what this caller sees; None: no restriction."""
    return None if roles.sees_everything(actor, visibility) else Visible(actor.id, actor.groups)


def task(conn: Connection, task_id: str, actor: Actor, visibility: Visibility) -> Task:
    """The task of that id. Raises UnknownTask, the same for what is not there and what may not be seen."""
    return refusals.visible(tasks.load(conn, task_id), task_id, actor, visibility)


def service(conn: Connection, service_id: str, actor: Actor, visibility: Visibility) -> Service:
    """The service of that id. Raises NotFound, the same for what is not there and what may not be seen."""
    found = services.load(conn, service_id)
    if found is None or (
        not roles.sees_everything(actor, visibility) and not sight.services_seen(conn, [service_id], actor.id, actor.groups)
    ):
        raise NotFound(f"no service has the id {service_id}")
    return found


def may_see_intake(actor: Actor, visibility: Visibility) -> bool:
    """Whether dead letters and unregistered senders are for this caller."""
    return roles.may(actor, "see_intake") and roles.sees_everything(actor, visibility)


def of_incidents(conn: Connection, found: Sequence[Incident], actor: Actor, visibility: Visibility) -> list[Incident]:
    """Those that concern a service which the caller sees."""
    if roles.sees_everything(actor, visibility):
        return list(found)
    ids = [service_id for incident in found for service_id in incident.services]
    seen = sight.services_seen(conn, ids, actor.id, actor.groups)
    return [incident for incident in found if not seen.isdisjoint(incident.services)]


def of_events(conn: Connection, batch: Sequence[Event], actor: Actor, visibility: Visibility) -> list[Event]:
    """Those about what the caller sees."""
    if roles.sees_everything(actor, visibility):
        return without_secrets(batch, actor)
    seen = _tasks(conn, batch, actor, visibility) | _services(conn, batch, actor) | _incidents(conn, batch, actor, visibility)
    return [event for event in batch if (event.subject_type, event.subject_id) in seen or _is_own(event, actor)]


def without_secrets(batch: Sequence[Event], actor: Actor) -> list[Event]:
    """Without what is told of other people's sessions and of tokens, unless the caller keeps them."""
    if roles.may(actor, "see_accounts"):
        return list(batch)
    return [event for event in batch if event.subject_type not in _FOR_ADMINS or _is_own(event, actor)]


def _is_own(event: Event, actor: Actor) -> bool:
    return event.subject_type in _OF_A_PERSON and event.subject_id == actor.id


def _ids(batch: Sequence[Event], subject_type: str) -> list[str]:
    return [event.subject_id for event in batch if event.subject_type == subject_type]


def _tasks(conn: Connection, batch: Sequence[Event], actor: Actor, visibility: Visibility) -> set[tuple[str, str]]:
    known = tasks.load_many(conn, _ids(batch, "task"))
    return {("task", task.id) for task in known.values() if roles.may_see(actor, task, visibility)}


def _services(conn: Connection, batch: Sequence[Event], actor: Actor) -> set[tuple[str, str]]:
    return {("service", key) for key in sight.services_seen(conn, _ids(batch, "service"), actor.id, actor.groups)}


def _incidents(conn: Connection, batch: Sequence[Event], actor: Actor, visibility: Visibility) -> set[tuple[str, str]]:
    known = [found for key in set(_ids(batch, "incident")) if (found := incidents.load(conn, key))]
    return {("incident", each.id) for each in of_incidents(conn, known, actor, visibility)}

"""What is wrong now, as Now and the wall both tell it: read once, by the same queries as the rows behind each number. UI 6."""

from collections.abc import Sequence

from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.actions.bulk import MOST_ITEMS
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, Incident, Service
from taskdash.rules import roles
from taskdash.rules.roles import Visibility
from taskdash.store import dead_letters, facets, incidents, service_page, services, sight, task_page
from taskdash.store.facets import Facets
from taskdash.store.service_page import ServiceFilters
from taskdash.store.task_filters import NONE, Filters, Visible
from taskdash.web import visible
from taskdash.web.visible import visible_to

MOST_INCIDENTS, MOST_SHOWN, MOST_WATCHED, MOST_SERVICES = 500, 30, 20, 500
WATCHED = ("late", "unknown")
"""States that are no incident: nobody is notified."""


class Reader(Struct, frozen=True):
    """Who looks, and when."""

    actor: Actor
    visibility: Visibility
    now: Instant

    @property
    def restriction(self) -> Visible | None:
        """What narrows every list to what they may see."""
        return visible_to(self.actor, self.visibility)


class Affected(Struct, frozen=True, kw_only=True):
    """One incident and its tasks: all, those that nobody holds, that are stale, that the reader may claim."""

    incident: Incident
    tasks: int = 0
    unowned: int = 0
    stale: int = 0
    claimable: int = 0
    service: Service | None = None
    """When it is about one alone."""
    letters: tuple[Instant, ...] = ()
    """When the messages came that nobody could read, since it began; those that are kept."""


class Situation(Struct, frozen=True):
    """What is wrong: incidents (the first of them, open ones before others), services that are watched, services by state,
    counts of tasks. `wrong`, `unacknowledged`: of all incidents."""

    incidents: list[Affected]
    watched: list[Service]
    states: dict[str, int]
    counts: Facets
    wrong: int
    unacknowledged: int

    @property
    def services(self) -> int:
        """How many services there are."""
        return sum(self.states.values())


def read(conn: Connection, reader: Reader) -> Situation:
    """The situation as the reader may see it."""
    opened = incidents.page(conn, states=("open", "acknowledged"), limit=MOST_INCIDENTS)
    mine = [_seen(conn, each, reader) for each in visible.of_incidents(conn, opened, reader.actor, reader.visibility)]
    mine.sort(key=lambda incident: (incident.state != "open", -incident.opened_at))
    told = {service_id for each in mine for service_id in each.services}
    wanted = ServiceFilters(state=WATCHED, visible_to=reader.restriction)
    watched = service_page.page(conn, wanted, MOST_WATCHED).services
    return Situation(
        _all_affected(conn, mine[:MOST_SHOWN], reader),
        [service for service in watched if service.id not in told],
        service_page.counts(conn, ServiceFilters(visible_to=reader.restriction)),
        facets.facets(conn, Filters(visible_to=reader.restriction), reader.now),
        len(mine),
        sum(incident.state == "open" for incident in mine),
    )


def _all_affected(conn: Connection, shown: Sequence[Incident], reader: Reader) -> list[Affected]:
    alone = services.load_many(conn, {each.services[0] for each in shown if len(each.services) == 1})
    return [_affected(conn, each, alone.get(each.services[0]) if len(each.services) == 1 else None, reader) for each in shown]


def _seen(conn: Connection, incident: Incident, reader: Reader) -> Incident:
    """With those of its services that the reader sees."""
    if roles.sees_everything(reader.actor, reader.visibility):
        return incident
    seen = sight.services_seen(conn, incident.services, reader.actor.id, reader.actor.groups)
    return structs.replace(incident, services=tuple(each for each in incident.services if each in seen))


def _affected(conn: Connection, incident: Incident, service: Service | None, reader: Reader) -> Affected:
    if not incident.services:
        is_letters = incident.kind == "dead_letters"
        return Affected(incident=incident, letters=tuple(dead_letters.times(conn, incident.opened_at)) if is_letters else ())
    free = claimable(incident, reader)
    claims = task_page.count(conn, free, reader.now, MOST_ITEMS) if roles.may(reader.actor, "claim") else 0
    if len(incident.services) > MOST_SERVICES:
        tasks, unowned = incidents.effects(conn, incident)
        return Affected(incident=incident, tasks=tasks, unowned=unowned, claimable=min(claims, MOST_ITEMS))
    all_of = Filters(service=incident.services, visible_to=reader.restriction)
    return Affected(
        incident=incident,
        tasks=task_page.count(conn, all_of, reader.now),
        unowned=task_page.count(conn, structs.replace(all_of, user=(NONE,)), reader.now),
        stale=task_page.count(conn, structs.replace(all_of, stale=True), reader.now),
        claimable=min(claims, MOST_ITEMS),
        service=service,
    )


def claimable(incident: Incident, reader: Reader) -> Filters:
    """The tasks of the incident that nobody holds and the reader may claim."""
    actor = reader.actor
    groups = () if actor.role == "admin" else (NONE, *actor.groups)
    services_of = incident.services[:MOST_SERVICES]
    return Filters(service=services_of, user=(NONE,), group=groups, visible_to=reader.restriction)

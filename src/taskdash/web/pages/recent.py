"""What happened in the last 30 minutes, read for the lanes of Now: a bounded number of events, whatever happened. UI 6."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.instants import Instant, to_rfc3339
from taskdash.model.records import Event, Incident, Service
from taskdash.store import dead_letters, events, incidents, service_page, services
from taskdash.store.service_page import ServiceFilters
from taskdash.web import visible
from taskdash.web.pages import lanes, links
from taskdash.web.pages.incident_cards import letters_since
from taskdash.web.pages.lanes import BAD, WINDOW, Frame, Lane
from taskdash.web.pages.render import View
from taskdash.web.pages.situation import Reader

MOST_LANES, MOST_EVENTS, MOST_INCIDENTS = 8, 1_000, 100
_KINDS = ("service.state", "service.paused")
_PAGE = 100


class Recent(Struct, frozen=True):
    """Changes of state by service (oldest first), the services with a lane, how many others changed, and the rest."""

    known_from: Instant
    changes: dict[str, list[Event]]
    services: list[Service]
    others_changed: int
    lost: list[Incident]
    ended: list[Incident]
    letters: list[Instant]


def read(conn: Connection, reader: Reader) -> Recent:
    """What the reader may see of the last 30 minutes."""
    start = reader.now - WINDOW
    known_from, changes = _changes(conn, reader, start)
    ill = service_page.page(conn, ServiceFilters(state=BAD, visible_to=reader.restriction), MOST_LANES).services
    fallen = [key for key, told in changes.items() if any(e.after.get("state") in BAD for e in told)]
    newest_first = sorted(fallen, key=lambda key: -changes[key][-1].at)
    wanted = list(dict.fromkeys([*(service.id for service in ill), *newest_first]))
    known = services.load_many(conn, wanted[:MOST_LANES])
    return Recent(
        known_from,
        changes,
        [known[key] for key in wanted[:MOST_LANES] if key in known],
        len(wanted[MOST_LANES:]),
        _overlapping(conn, reader, start),
        _ended(conn, reader, start),
        dead_letters.times(conn, start),
    )


def _changes(conn: Connection, reader: Reader, start: Instant) -> tuple[Instant, dict[str, list[Event]]]:
    """(from when on all changes were read, the changes by service)."""
    read_from = [_newest(conn, kind, start) for kind in _KINDS]
    found = [event for _known_from, told in read_from for event in told]
    by_service: dict[str, list[Event]] = {}
    seen = visible.of_events(conn, found, reader.actor, reader.visibility)
    for event in sorted(seen, key=lambda event: (event.at, event.seq)):
        by_service.setdefault(event.subject_id, []).append(event)
    return max(known_from for known_from, _told in read_from), by_service


def _newest(conn: Connection, kind: str, start: Instant) -> tuple[Instant, list[Event]]:
    """(from when on they are whole, the events of that kind since `start`): a page at a time, up to a bound."""
    found: list[Event] = []
    before: int | None = None
    while len(found) < MOST_EVENTS:
        page = events.page(conn, kind=kind, before_seq=before, limit=_PAGE)
        found += [event for event in page if event.at >= start]
        if len(page) < _PAGE or page[-1].at < start:
            return start, found
        before = page[-1].seq
    return found[-1].at, found


def _overlapping(conn: Connection, reader: Reader, start: Instant) -> list[Incident]:
    found = incidents.page(conn, kinds=("input",), limit=MOST_INCIDENTS)
    mine = visible.of_incidents(conn, found, reader.actor, reader.visibility)
    return [incident for incident in mine if incident.resolved_at is None or incident.resolved_at > start]


def _ended(conn: Connection, reader: Reader, start: Instant) -> list[Incident]:
    found = incidents.page(conn, states=("resolved",), limit=MOST_INCIDENTS)
    mine = visible.of_incidents(conn, found, reader.actor, reader.visibility)
    return [incident for incident in mine if (incident.resolved_at or 0) > start]


def frame_of(view: View, recent: Recent) -> Frame:
    """The window of the picture."""
    return Frame(view.texts, view.zone, view.now, recent.known_from)


def lanes_of(view: View, recent: Recent, total: int) -> list[Lane]:
    """Input, services in trouble, dead letters, all others. `total`: how many services there are."""
    frame = frame_of(view, recent)
    own = [lanes.of_service(each, recent.changes.get(each.id, []), frame) for each in recent.services]
    others = lanes.of_others(max(0, total - len(own)), recent.others_changed, frame)
    return [
        lanes.of_input(recent.lost, frame),
        *own,
        lanes.of_letters(recent.letters, frame, letters_since(frame.start)),
        others,
    ]


def ended_href(now: Instant) -> str:
    """The events of their ends."""
    since = to_rfc3339(now - WINDOW)
    return links.with_query("/history", [("kind", "incident.resolved"), ("since", since)])


def ended_text(view: View, ended: Sequence[Incident]) -> str:
    """How many ended by themselves, and which when it is one."""
    if not ended:
        return ""
    said = view.texts.plural("%(n)s ended by itself", "%(n)s ended by themselves", len(ended))
    if len(ended) > 1:
        return said
    return view.texts("%(name)s: %(states)s", name=said, states=view.texts.told(ended[0].sentence).rstrip(".。"))

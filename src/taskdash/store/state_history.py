"""The states that a service was in, from its history; and who else was heard. For the page of one service. No decisions."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.store.tables import events, services, store_facts

MOST = 5_000
"""So many changes are read, the newest; who keeps changing more often has a shorter past here."""
MOST_OTHERS = 100
KINDS = ("service.state", "service.paused")
c, s = events.c, services.c


class _State(msgspec.Struct):
    state: str = ""


class StateChange(NamedTuple):
    """From one state to another."""

    at: Instant
    before: str
    after: str
    evidence: str


_decoder = msgspec.json.Decoder(_State)


def changes(conn: Connection, service_id: str, since: Instant) -> list[StateChange]:
    """Its changes of state since then, oldest first, the newest `MOST` of them. Index: events_subject."""
    query = select(c.at, c.before, c.after, c.evidence).where(
        c.subject_type == "service", c.subject_id == service_id, c.kind.in_(KINDS), c.at >= since
    )
    rows = conn.execute(query.order_by(c.seq.desc()).limit(MOST)).all()
    return [StateChange(row[0], _decoder.decode(row[1]).state, _decoder.decode(row[2]).state, row[3]) for row in reversed(rows)]


def kept_from(conn: Connection) -> Instant:
    """History before this instant may have been removed."""
    found = conn.execute(select(store_facts.c.value).where(store_facts.c.key == "events_kept_from")).scalar()
    return int(found or 0)


def others_heard(conn: Connection, service: Service, since: Instant) -> int:
    """How many other services beat through the same input since then, counted up to `MOST_OTHERS`."""
    some = select(s.pk).where(s.source == service.source, s.last_beat_at > since, s.id != service.id).limit(MOST_OTHERS)
    return int(conn.execute(select(func.count()).select_from(some.subquery())).scalar_one())

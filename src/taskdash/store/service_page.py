"""One page of the services, worst first, then by id: keyset over (rank of the state, id). SPEC 8, UI 6 (Services)."""

from typing import Any

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, Select, exists, func, or_, select, union

from taskdash.model.records import Service
from taskdash.store import counters
from taskdash.store.elements import contains
from taskdash.store.services import SHAPE
from taskdash.store.tables import services, tasks
from taskdash.store.task_filters import Visible
from taskdash.store.task_terms import by_index

s, t = services.c, tasks.c
FEW = 100_000
"""So many visible tasks are read for the services that they belong to."""
WORST_FIRST = ("down", "late", "unknown", "new", "up", "left", "paused")
MOST_TYPES = 100
KINDS: tuple[type, ...] = (int, str)


class ServiceFilters(Struct, frozen=True, kw_only=True):
    """What is wanted; empty: no matter. Archived services are hidden, or asked for alone."""

    state: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    q: str = ""
    archived: bool = False
    visible_to: Visible | None = None
    """Only services that have a task this person may see."""


class ServicePage(Struct, frozen=True):
    """Services, and the (rank, id) after which the next page begins; None: this was the last."""

    services: list[Service]
    next_key: tuple[int, str] | None


def page(conn: Connection, wanted: ServiceFilters, limit: int, after: tuple[int, str] | None = None) -> ServicePage:
    """The services that follow `after`; a state at a time, each by its index."""
    first, last_id = after or (0, "")
    found: list[tuple[int, Service]] = []
    conditions = _conditions(conn, wanted)
    for rank in range(first, len(WORST_FIRST)):
        state = WORST_FIRST[rank]
        if wanted.state and state not in wanted.state:
            continue
        query = select(*SHAPE.columns).where(s.state == state, s.id > (last_id if rank == first else ""), *conditions)
        found += [(rank, one) for one in SHAPE.records(conn, query.order_by(s.id).limit(limit + 1 - len(found)))]
        if len(found) > limit:
            break
    shown = found[:limit]
    next_key = (shown[-1][0], shown[-1][1].id) if len(found) > limit else None
    return ServicePage([one for _rank, one in shown], next_key)


def counts(conn: Connection, wanted: ServiceFilters) -> dict[str, int]:
    """How many services are in which state, whatever `wanted.state` says."""
    query = select(s.state, func.count()).where(*_conditions(conn, wanted)).group_by(s.state)
    return {row[0]: row[1] for row in conn.execute(_listed(query))}


def types(conn: Connection, wanted: ServiceFilters) -> dict[str, int]:
    """How many services have which type, whatever `wanted.type` says: the 100 most frequent."""
    conditions = _conditions(conn, structs.replace(wanted, type=()))
    if wanted.state:
        conditions.append(s.state.in_(wanted.state))
    query = select(s.type, func.count()).where(s.type != "", *conditions).group_by(s.type)
    query = query.order_by(func.count().desc(), s.type).limit(MOST_TYPES)
    return {row[0]: row[1] for row in conn.execute(_listed(query))}


def _listed(query: Select[Any]) -> Select[Any]:
    """By the index that holds all that is counted: of 100,000 services a sixth of the time that their rows cost."""
    return query.with_hint(services, "services_listed")


def _conditions(conn: Connection, wanted: ServiceFilters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [s.archived_at.is_not(None) if wanted.archived else s.archived_at.is_(None)]
    if wanted.type:
        found.append(s.type.in_(wanted.type))
    for word in wanted.q.split():
        found.append(or_(*(contains(column, word) for column in (s.id, s.name, s.type))))
    if wanted.visible_to is not None:
        found.append(_has_visible(conn, wanted.visible_to))
    return found


def _has_visible(conn: Connection, who: Visible) -> ColumnElement[bool]:
    """Few visible tasks name their services; of many, each service is asked for one."""
    groups = ["", *who.groups]
    own, shared = t.user == who.user, t.group_id.in_(groups)
    if counters.count(conn, "user", [who.user]) + counters.count(conn, "group", groups) <= FEW:
        parts = ((own, "tasks_user"), (shared, "tasks_group"))
        return s.id.in_(union(*(by_index(select(t.service_id).where(where, t.gone_at.is_(None)), i) for where, i in parts)))
    one = select(t.pk).where(t.service_id == s.id, t.gone_at.is_(None), or_(own, shared))
    return exists(by_index(one, "tasks_service"))

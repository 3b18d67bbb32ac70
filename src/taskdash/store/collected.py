"""What collecting writes beside tasks: the result on the service, who clashes with whom, which ids a service has."""

from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, or_, select, update

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules import sharing
from taskdash.store.elements import upsert
from taskdash.store.services import SHAPE
from taskdash.store.tables import clashes, services, tasks

t, s = tasks.c, services.c
Asked = tuple[int, str]
"""A service's pk and the url that was asked: another url of the same service is another asking."""
_KEYS = frozenset({"b_pk", "b_url", "b_collect_at", "collect_at"})
_NEXT = case((s.collect_at.is_not_distinct_from(bindparam("b_collect_at")), bindparam("collect_at")), else_=s.collect_at)


def note(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Set columns of many services in one statement; each row has `b_pk`, `b_url`, `b_collect_at` and the same other keys.

    A service whose url changed meanwhile is left alone: what was asked is not its url any more. One that registered
    meanwhile keeps its new `collect_at`: what it was before is no reason to ask it later.
    """
    if rows:
        changed: dict[str, Any] = {key: bindparam(key) for key in rows[0] if key not in _KEYS}
        mine = update(services).where(s.pk == bindparam("b_pk"), s.url == bindparam("b_url"))
        conn.execute(mine.values(changed | {"collect_at": _NEXT}), list(rows))


def is_current(conn: Connection, service: Service) -> bool:
    """False when the service is no longer there, or has another url by now."""
    return conn.execute(select(s.pk).where(s.pk == service.pk, s.url == service.url)).first() is not None


def due(conn: Connection, now: Instant, known: Set[Asked], limit: int, shards: Set[int] = sharing.ALL_SHARDS) -> list[Service]:
    """At most `limit` services of these shards that are to be asked now and are not among `known`, longest waiting first.

    A row that cannot be read is left out, so that it hinders no other. Index: services_collect_at.
    """
    query = select(s.pk, s.url).where(s.collect_at <= now).order_by(s.collect_at).limit(limit + len(known))
    if shards != sharing.ALL_SHARDS:
        query = query.where((s.pk % sharing.SHARDS).in_(sorted(shards)))
    wanted = [pk for pk, url in conn.execute(query) if (pk, url) not in known][:limit]
    try:
        return _of_pks(conn, wanted)
    except (msgspec.MsgspecError, ValueError, TypeError):
        return [service for pk in wanted for service in _readable(conn, pk)]


def _of_pks(conn: Connection, wanted: Sequence[int]) -> list[Service]:
    found: list[Service] = []
    for start in range(0, len(wanted), 500):
        query = select(*SHAPE.columns).where(s.pk.in_(wanted[start : start + 500])).order_by(s.collect_at)
        found.extend(SHAPE.records(conn, query))
    return found


def _readable(conn: Connection, pk: int) -> list[Service]:
    try:
        return _of_pks(conn, [pk])
    except (msgspec.MsgspecError, ValueError, TypeError):
        return []


def ask_now(conn: Connection, pks: Sequence[int], now: Instant) -> None:
    """The time of these has come, whoever collects them."""
    conn.execute(update(services).where(s.pk.in_(pks), s.collect_at > now).values(collect_at=now))


def not_since(conn: Connection, pks: Sequence[int], at: Instant) -> bool:
    """Whether any of these was not collected since then."""
    query = select(s.pk).where(s.pk.in_(pks), or_(s.collected_at.is_(None), s.collected_at < at))
    return conn.execute(query.limit(1)).first() is not None


def has_clashes(conn: Connection, service_id: str) -> bool:
    """True while the service reports ids of others."""
    return conn.execute(select(clashes.c.task_id).where(clashes.c.service_id == service_id).limit(1)).first() is not None


def forget_validators(conn: Connection, service_ids: Collection[str]) -> None:
    """Their next answer is applied whole, even when it is the known one: somebody else moved their tasks."""
    if service_ids:
        forgotten = {"collect_etag": "", "collect_last_modified": "", "collect_digest": ""}
        conn.execute(update(services).where(s.id.in_(list(service_ids))).values(forgotten))


def look_again(conn: Connection, pks: Sequence[int], now: Instant) -> None:
    """Liveness is to judge these services at once."""
    if pks:
        conn.execute(update(services).where(s.pk == bindparam("b_pk")), [{"b_pk": pk, "due_at": now} for pk in pks])


def listed_ids(conn: Connection, service_id: str) -> list[str]:
    """Ids of the service's tasks that are not gone."""
    return list(conn.execute(select(t.id).where(t.service_id == service_id, t.gone_at.is_(None))).scalars())


def released(conn: Connection, service_ids: Iterable[str]) -> set[str]:
    """Those of the owners that are archived or no longer there: their tasks are free for another service."""
    wanted = {service_id for service_id in service_ids if service_id}
    if not wanted:
        return set()
    query = select(s.id).where(s.id.in_(wanted), s.archived_at.is_(None))
    return wanted - set(conn.execute(query).scalars())


def set_clashes(conn: Connection, service_id: str, asked: Collection[str], clashing: Collection[str], now: Instant) -> None:
    """Of the ids that the service named, `clashing` belong to another one; the rest no longer do."""
    free = sorted(set(asked) - set(clashing))
    for start in range(0, len(free), 500):
        some = free[start : start + 500]
        conn.execute(delete(clashes).where(clashes.c.service_id == service_id, clashes.c.task_id.in_(some)))
    if clashing:
        new = upsert(clashes).on_conflict_do_nothing()
        conn.execute(new, [{"task_id": task_id, "service_id": service_id, "at": now} for task_id in clashing])


def forget_clashes_but(conn: Connection, service_id: str, still_named: Collection[str]) -> None:
    """The service no longer names these ids at all."""
    query = select(clashes.c.task_id).where(clashes.c.service_id == service_id)
    gone = set(conn.execute(query).scalars()) - set(still_named)
    for task_id in gone:
        conn.execute(delete(clashes).where(clashes.c.service_id == service_id, clashes.c.task_id == task_id))

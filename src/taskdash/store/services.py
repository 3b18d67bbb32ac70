"""Queries over `services`: load, save, whose deadline has passed, who is to be asked. No decisions."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.store.rows import Shape
from taskdash.store.tables import services

SHAPE = Shape(Service, services, json=("told_at", "flaps", "collect_problems"), kept_by_the_store=("pk", "task_total"))
_ALL = select(*SHAPE.columns)
_UPDATE = update(services).where(services.c.pk == bindparam("b_pk"))


def load(conn: Connection, service_id: str) -> Service | None:
    """The service of that id."""
    return load_many(conn, [service_id]).get(service_id)


def load_many(conn: Connection, ids: Iterable[str]) -> dict[str, Service]:
    """The known ones among `ids`, by id."""
    return {service.id: service for service in SHAPE.load_many(conn, services.c.id, ids)}


def save(conn: Connection, changed: Sequence[Service]) -> None:
    """Insert the ones without pk, update the others: every column but pk and task_total."""
    SHAPE.update_many(conn, [service for service in changed if service.pk])
    SHAPE.insert_many(conn, [service for service in changed if not service.pk])


def save_columns(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Set some columns of many services in one statement; each row has `b_pk` and the same other keys (column names)."""
    if rows:
        conn.execute(_UPDATE.values({k: bindparam(k) for k in rows[0] if k != "b_pk"}), list(rows))


def due(conn: Connection, now: Instant, limit: int = 1_000) -> list[Service]:
    """Services whose stored deadline has passed, oldest first. Index: services_due_at."""
    return _page_by(conn, services.c.due_at, now, limit)


def _page_by(conn: Connection, column: Any, now: Instant, limit: int) -> list[Service]:
    query = _ALL.where(column <= now).order_by(column).limit(limit)
    return SHAPE.records(conn, query)


def remove(conn: Connection, service: Service) -> None:
    """Delete a service for good (an admin)."""
    conn.execute(services.delete().where(services.c.pk == service.pk))

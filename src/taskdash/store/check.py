"""Is a store whole: its schema, what its engine finds wrong, rows that can be read, counters, history that agrees with rows.

Law: reads only, in one transaction, so that it tells of one moment also beside a running server. RELIABILITY F9: SQLite's own
check does not see a changed byte within a text, so history is compared with what it led to.
"""

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import DBAPIError

from taskdash.store import counters, events, services, tables, tasks
from taskdash.store.places import Place
from taskdash.store.rows import Shape
from taskdash.store.whole import reading, streamed, whole

MOST_TOLD = 100
_FOLLOWED = {"task": ("user", "group_id", "status"), "service": ("state",)}
"""Fields whose every change is an event, by what the event is about."""
_BEGINS_ANEW = {"task.registered", "task.removed", "service.registered", "service.removed"}


def check(place: Place) -> list[str]:
    """One sentence a problem, at most 100; empty when all is well. Raises StartRefused when there is no store to check."""
    try:
        with reading(place) as conn:
            return _first(_problems(conn))
    except DBAPIError as error:
        return [f"the store cannot be read: {place.dialect.refusal(error).extra['code']}"]
    except (UnicodeError, msgspec.MsgspecError) as error:
        return [f"the store cannot be read: {error}"]


def _first(problems: Iterator[str]) -> list[str]:
    told: list[str] = []
    for problem in problems:
        if len(told) == MOST_TOLD:
            return [*told, "there are more"]
        told.append(problem)
    return told


def _problems(conn: Connection) -> Iterator[str]:
    missing = list(_missing(conn)) or list(whole(conn).damage(conn))
    yield from missing
    if missing:
        return
    yield from _without_help(conn)
    for shape, key in ((services.SHAPE, "id"), (tasks.SHAPE, "id"), (events.SHAPE, "seq")):
        yield from _unreadable(conn, shape, key)
    yield from _wrong_totals(conn)
    yield from _orphans(conn)
    yield from _untrue_history(conn)


def _missing(conn: Connection) -> Iterator[str]:
    """Tables and columns of the program that are not there; a newer schema may have more."""
    there = inspect(conn)
    names = set(there.get_table_names())
    for table in tables.metadata.sorted_tables:
        columns = {column["name"] for column in there.get_columns(table.name)} if table.name in names else set()
        if not columns:
            yield f"the table {table.name} is missing"
            continue
        yield from (f"the column {column} is missing" for column in table.columns if column.name not in columns)


def _without_help(conn: Connection) -> Iterator[str]:
    """Indexes and guards that are not there: nothing is wrong yet, but lists are slow and history can be changed."""
    there = inspect(conn)
    for table in tables.metadata.sorted_tables:
        names = {index["name"] for index in there.get_indexes(table.name)}
        yield from (f"the index {index.name} is missing" for index in table.indexes if index.name not in names)
    yield from (f"the guard {name} is missing: history could be changed" for name in whole(conn).guards(conn))


def _unreadable(conn: Connection, shape: Shape, key: str) -> Iterator[str]:
    """Rows whose text is not the text, number or JSON that their record wants."""
    for row in streamed(conn, select(*shape.columns)):
        values = row._mapping
        try:
            msgspec.convert(msgspec.to_builtins(shape.record_of(values)), shape.record)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            yield f"{shape.record.__name__.lower()} {values[key]} cannot be read: {error}"


def _wrong_totals(conn: Connection) -> Iterator[str]:
    s, t = tables.services.c, tables.tasks.c
    counted = select(t.service_id, func.count().label("n")).where(t.gone_at.is_(None)).group_by(t.service_id).subquery()
    found = func.coalesce(counted.c.n, 0)
    query = select(s.id, s.task_total, found).outerjoin(counted, counted.c.service_id == s.id).where(s.task_total != found)
    for service, kept, true in streamed(conn, query):
        yield f"service {service}: the counter says {kept} tasks, there are {true}"

    kept, counted_now = counters.stored(conn), counters.actual(conn)
    for kind, value, status in sorted(kept.keys() | counted_now.keys()):
        was, is_now = (counts.get((kind, value, status), 0) for counts in (kept, counted_now))
        if was != is_now:
            yield f"the counter of {kind} {value!r} with status {status!r} says {was}, there are {is_now}"


def _orphans(conn: Connection) -> Iterator[str]:
    s, t = tables.services.c, tables.tasks.c
    known = select(s.id).where(s.id == t.service_id).exists()
    for task, service in streamed(conn, select(t.id, t.service_id).where(t.service_id != "", ~known)):
        yield f"task {task} belongs to the service {service}, which is not there"


def _untrue_history(conn: Connection) -> Iterator[str]:
    """Rows that differ from what the last event about each followed field says."""
    last = _last_told(conn)
    for kind, table in (("task", tables.tasks), ("service", tables.services)):
        columns = [table.c[name] for name in _FOLLOWED[kind]]
        for key, *values in streamed(conn, select(table.c.id, *columns)):
            for name, value in zip(_FOLLOWED[kind], values, strict=True):
                told = last.get((kind, key), {}).get(name, value)
                if told != value:
                    yield f"{kind} {key}: {name} is {value!r}, but its last event says {told!r}"


def _last_told(conn: Connection) -> dict[tuple[str, str], dict[str, str]]:
    e = tables.events.c
    query = select(e.subject_type, e.subject_id, e.kind, e.after).where(e.subject_type.in_(_FOLLOWED)).order_by(e.seq)
    last: dict[tuple[str, str], dict[str, str]] = {}
    for subject_type, subject_id, kind, after in streamed(conn, query):
        known = last.setdefault((subject_type, subject_id), {})
        if kind in _BEGINS_ANEW:
            known.clear()
        told = msgspec.json.decode(after)
        known |= {name: told[name] for name in _FOLLOWED[subject_type] if name in told}
    return last

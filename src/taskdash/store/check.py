"""Is the embedded store whole: SQLite's own check, rows that can be read, counters, and history that agrees with the rows.

Law: reads only, in one transaction, so that it tells of one moment also beside a running server. RELIABILITY F9: SQLite's own
check does not see a changed byte within a text, so history is compared with what it led to.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from taskdash.errors import StartRefused
from taskdash.store import counters, events, services, sqlite, tables, tasks
from taskdash.store.migrations import runner
from taskdash.store.rows import Shape

MOST_TOLD = 100
_FOLLOWED = {"task": ("user", "group_id", "status"), "service": ("state",)}
"""Fields whose every change is an event, by what the event is about."""
_BEGINS_ANEW = {"task.registered", "task.removed", "service.registered", "service.removed"}
_ROWS_AT_ONCE = 1_000


def check(path: Path) -> list[str]:
    """One sentence a problem, at most 100; empty when all is well. Raises StartRefused when there is no store to check."""
    if not path.exists() or runner.revision(path) is None:
        raise StartRefused(f"there is no store at {path}")
    try:
        with sqlite.open_engine(path, read_only=True).connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("BEGIN")
            return _first(_problems(conn))
    except DBAPIError as error:
        return [f"the store cannot be read: {sqlite.refusal(error).extra['code']}"]
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
    damage = list(_damage(conn))
    yield from damage
    if damage:
        return
    for shape, key in ((services.SHAPE, "id"), (tasks.SHAPE, "id"), (events.SHAPE, "seq")):
        yield from _unreadable(conn, shape, key)
    yield from _wrong_totals(conn)
    yield from _orphans(conn)
    yield from _untrue_history(conn)


def _damage(conn: Connection) -> Iterator[str]:
    for (line,) in conn.exec_driver_sql("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield f"SQLite: {line}"


def _unreadable(conn: Connection, shape: Shape, key: str) -> Iterator[str]:
    """Rows whose text is not the text, number or JSON that their record wants."""
    for row in conn.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(*shape.columns)).mappings():
        try:
            msgspec.convert(msgspec.to_builtins(shape.record_of(row)), shape.record)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            yield f"{shape.record.__name__.lower()} {row[key]} cannot be read: {error}"


def _wrong_totals(conn: Connection) -> Iterator[str]:
    s, t = tables.services.c, tables.tasks.c
    counted = select(t.service_id, func.count().label("n")).where(t.gone_at.is_(None)).group_by(t.service_id).subquery()
    found = func.coalesce(counted.c.n, 0)
    query = select(s.id, s.task_total, found).outerjoin(counted, counted.c.service_id == s.id).where(s.task_total != found)
    for service, kept, true in conn.execute(query):
        yield f"service {service}: the counter says {kept} tasks, there are {true}"

    kept, counted_now = counters.stored(conn), counters.actual(conn)
    for kind, value, status in sorted(kept.keys() | counted_now.keys()):
        was, is_now = (counts.get((kind, value, status), 0) for counts in (kept, counted_now))
        if was != is_now:
            yield f"the counter of {kind} {value!r} with status {status!r} says {was}, there are {is_now}"


def _orphans(conn: Connection) -> Iterator[str]:
    s, t = tables.services.c, tables.tasks.c
    known = select(s.id).where(s.id == t.service_id).exists()
    for task, service in conn.execute(select(t.id, t.service_id).where(t.service_id != "", ~known)):
        yield f"task {task} belongs to the service {service}, which is not there"


def _untrue_history(conn: Connection) -> Iterator[str]:
    """Rows that differ from what the last event about each followed field says."""
    last = _last_told(conn)
    for kind, table in (("task", tables.tasks), ("service", tables.services)):
        columns = [table.c[name] for name in _FOLLOWED[kind]]
        for key, *values in conn.execute(select(table.c.id, *columns)):
            for name, value in zip(_FOLLOWED[kind], values, strict=True):
                told = last.get((kind, key), {}).get(name, value)
                if told != value:
                    yield f"{kind} {key}: {name} is {value!r}, but its last event says {told!r}"


def _last_told(conn: Connection) -> dict[tuple[str, str], dict[str, str]]:
    e = tables.events.c
    query = select(e.subject_type, e.subject_id, e.kind, e.after).where(e.subject_type.in_(_FOLLOWED)).order_by(e.seq)
    last: dict[tuple[str, str], dict[str, str]] = {}
    for subject_type, subject_id, kind, after in conn.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
        known = last.setdefault((subject_type, subject_id), {})
        if kind in _BEGINS_ANEW:
            known.clear()
        told = msgspec.json.decode(after)
        known |= {name: told[name] for name in _FOLLOWED[subject_type] if name in told}
    return last

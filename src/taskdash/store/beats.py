"""Beats by the thousand: the few columns that a beat needs of its service, and the one statement that moves them.

Hot (DESIGN 4): a whole `Service` costs several times as much to read and to write, so both statements are narrow, compiled
once and given to the driver; the id list is padded to a few fixed sizes. No decisions.
"""

from collections.abc import Sequence
from functools import cache
from operator import attrgetter

from sqlalchemy import Connection, Dialect, bindparam, select, update

from taskdash.rules.deadlines import Pulse
from taskdash.rules.liveness import BeatColumns
from taskdash.store.tables import services

Moved = tuple[int, BeatColumns]
"""(pk of the service, what its beats change)."""
_SIZES = (1, 16, 128, 512)
_READ = Pulse.__struct_fields__
_ID = _READ.index("id")
_WRITTEN = [c.name for c in services.c if c.name in BeatColumns.__struct_fields__]
_values = attrgetter(*_WRITTEN)


def load(conn: Connection, ids: Sequence[str]) -> dict[str, Pulse]:
    """The known ones among `ids` (each once), by id."""
    found: dict[str, Pulse] = {}
    for start in range(0, len(ids), _SIZES[-1]):
        chunk = ids[start : start + _SIZES[-1]]
        size = next(size for size in _SIZES if size >= len(chunk))
        padded = (*chunk, *[chunk[0]] * (size - len(chunk)))
        rows = conn.exec_driver_sql(_select(size, conn.dialect), padded).all()
        found.update((row[_ID], Pulse(**dict(zip(_READ, row, strict=True)))) for row in rows)
    return found


def save(conn: Connection, moved: Sequence[Moved]) -> None:
    """Store last beat, deadline, strip and source of these services; nothing else of them is written."""
    if moved:
        conn.exec_driver_sql(_update(conn.dialect), [(*_values(columns), pk) for pk, columns in moved])


@cache
def _select(size: int, dialect: Dialect) -> str:
    wanted = [bindparam(f"id_{n}", type_=services.c.id.type) for n in range(size)]
    columns = [services.c[name] for name in _READ]
    return str(select(*columns).where(services.c.id.in_(wanted)).compile(dialect=dialect))


@cache
def _update(dialect: Dialect) -> str:
    statement = update(services).where(services.c.pk == bindparam("b_pk"))
    return str(statement.values({name: bindparam(f"b_{name}") for name in _WRITTEN}).compile(dialect=dialect))

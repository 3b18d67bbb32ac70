"""Beats by the thousand: the few columns that a beat needs of its service, and the one statement that moves them.

Hot (DESIGN 4): a whole `Service` costs several times as much to read and to write, so both statements are narrow. No decisions.
"""

from collections.abc import Sequence
from operator import attrgetter

from sqlalchemy import Connection, bindparam, update

from taskdash.rules.deadlines import Pulse
from taskdash.rules.liveness import BeatColumns
from taskdash.store import hot
from taskdash.store.tables import services

Moved = tuple[int, BeatColumns]
"""(pk of the service, what its beats change)."""
_READ = Pulse.__struct_fields__
_ID = _READ.index("id")
_PULSES = hot.ByKey([services.c[name] for name in _READ], services.c.id)
_WRITTEN = [c.name for c in services.c if c.name in BeatColumns.__struct_fields__]
_values = attrgetter(*_WRITTEN)
_MOVE = update(services).where(services.c.pk == bindparam("b_pk")).values({name: bindparam(f"b_{name}") for name in _WRITTEN})


def load(conn: Connection, ids: Sequence[str]) -> dict[str, Pulse]:
    """The known ones among `ids` (each once), by id."""
    return {row[_ID]: Pulse(*row) for row in _PULSES.rows(conn, ids)}


def save(conn: Connection, moved: Sequence[Moved]) -> None:
    """Store last beat, deadline, strip and source of these services; nothing else of them is written."""
    hot.change_many(conn, _MOVE, [(*_values(columns), pk) for pk, columns in moved])

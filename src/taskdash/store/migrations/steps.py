"""The steps of the schema, on whatever connection they are given, and which of them this program knows."""

from pathlib import Path

from sqlalchemy import Connection

from taskdash.errors import StartRefused
from taskdash.store.elements import upsert
from taskdash.store.tables import store_facts

HEAD = "0002"
OLDEST = "0002"
"""The oldest schema whose program may still work on a store of HEAD: an older one runs beside this one while instances are
exchanged one by one. Steps that only add (tables, columns with a default, indexes) leave it as it is; who takes something away
that the program of OLDEST needs raises it (docs/guides/upgrading.md)."""
WORKS_WITH = "works_with"
"""The fact of a store that holds OLDEST."""


def run(conn: Connection) -> None:
    """All that is missing, in the transaction of the caller."""
    from alembic import command
    from alembic.config import Config

    if not conn.in_transaction():
        conn.begin()  # what Alembic begins itself it commits too, and this is the caller's
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    command.upgrade(config, HEAD)
    fact = {"key": WORKS_WITH, "value": OLDEST}
    conn.execute(upsert(store_facts).values(fact).on_conflict_do_update(index_elements=["key"], set_=fact))


def stored(conn: Connection, store: object) -> str:
    """The schema of a store that has one. Raises StartRefused when this program cannot work on it."""
    found = str(conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
    if found > HEAD:
        oldest = conn.exec_driver_sql(f"SELECT value FROM store_facts WHERE key = '{WORKS_WITH}'").scalar()  # noqa: S608  (ours)
        refuse_newer(found, oldest, store)
    return found


def is_done(found: str | None) -> bool:
    """Whether a store of this schema, which `stored` let pass, needs no step of this program."""
    return found is not None and found >= HEAD


def refuse_newer(found: str, oldest: str | None, store: object) -> None:
    """Raises StartRefused for a schema that is newer than what this program can work on."""
    if min(found, oldest or found) > HEAD:
        raise StartRefused(f"the store {store} is of a newer TaskDash (schema {found}, this program knows {HEAD})")

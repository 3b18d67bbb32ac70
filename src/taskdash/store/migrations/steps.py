"""The steps of the schema, on whatever connection they are given, and which of them this program knows."""

from pathlib import Path

from sqlalchemy import Connection

from taskdash.errors import StartRefused

HEAD = "0002"


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


def stored(conn: Connection, store: object) -> str:
    """The schema of a store that has one. Raises StartRefused when it is newer than this program."""
    found = str(conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
    if found > HEAD:
        raise StartRefused(f"the store {store} is of a newer TaskDash (schema {found}, this program knows {HEAD})")
    return found

"""First schema."""

from alembic import op

from taskdash.store import sqlite
from taskdash.store.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
    sqlite.create_guards(op.get_bind())
    sqlite.create_search(op.get_bind())

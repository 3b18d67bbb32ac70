"""Alembic's entry: runs on the connection that the runner gives it, in batch mode for SQLite."""

from alembic import context

from taskdash.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()

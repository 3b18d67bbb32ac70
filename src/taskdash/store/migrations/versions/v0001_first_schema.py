"""First schema."""

import sqlalchemy as sa
from alembic import op

from taskdash.store import sqlite

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clashes",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("service_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("task_id", "service_id"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("topic", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("subject_type", sa.Text(), server_default="", nullable=False),
        sa.Column("subject_id", sa.Text(), server_default="", nullable=False),
        sa.Column("actor_type", sa.Text(), server_default="", nullable=False),
        sa.Column("actor_id", sa.Text(), server_default="", nullable=False),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.Column("before", sa.Text(), server_default="{}", nullable=False),
        sa.Column("after", sa.Text(), server_default="{}", nullable=False),
        sa.Column("evidence", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_kind", "events", ["kind", "seq"], unique=False)
    op.create_index("events_subject", "events", ["subject_type", "subject_id", "seq"], unique=False)
    op.create_table(
        "groups",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "idempotency",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("idempotency_at", "idempotency", ["at"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("opened_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), server_default="", nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("sentence", sa.Text(), server_default="", nullable=False),
        sa.Column("evidence", sa.Text(), server_default="", nullable=False),
        sa.Column("next_reminder_at", sa.BigInteger(), nullable=True),
        sa.Column("services", sa.Text(), server_default="[]", nullable=False),
        sa.Column("last_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("incidents_cause", "incidents", ["kind", "cause", "state"], unique=False)
    op.create_index("incidents_state", "incidents", ["state", "opened_at"], unique=False)
    op.create_table(
        "senders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("senders_last_at", "senders", ["last_at"], unique=False)
    op.create_table(
        "services",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("type", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("reserved", sa.Text(), server_default="", nullable=False),
        sa.Column("interval_s", sa.Float(), nullable=False),
        sa.Column("collect_interval_s", sa.Float(), nullable=False),
        sa.Column("method", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("registered_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("told_at", sa.Text(), server_default="[]", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("last_beat_at", sa.BigInteger(), nullable=True),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("beat_bits", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("beat_known", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("since", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("last_known", sa.Text(), server_default="", nullable=False),
        sa.Column("evidence", sa.Text(), server_default="", nullable=False),
        sa.Column("judge_from", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("flapping", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("flaps", sa.Text(), server_default="[]", nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.Text(), server_default="", nullable=False),
        sa.Column("pause_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.Column("collect_at", sa.BigInteger(), nullable=True),
        sa.Column("collect_ok", sa.Boolean(), nullable=True),
        sa.Column("collected_at", sa.BigInteger(), nullable=True),
        sa.Column("collect_ok_at", sa.BigInteger(), nullable=True),
        sa.Column("collect_error", sa.Text(), server_default="", nullable=False),
        sa.Column("collect_error_at", sa.BigInteger(), nullable=True),
        sa.Column("collect_failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("collect_took_ms", sa.Float(), nullable=True),
        sa.Column("collect_problems", sa.Text(), server_default="[]", nullable=False),
        sa.Column("collect_etag", sa.Text(), server_default="", nullable=False),
        sa.Column("collect_last_modified", sa.Text(), server_default="", nullable=False),
        sa.Column("collect_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("fresh_until", sa.BigInteger(), nullable=True),
        sa.Column("task_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("services_collect_at", "services", ["collect_at"], unique=False)
    op.create_index("services_due_at", "services", ["due_at"], unique=False)
    op.create_index("services_fresh_until", "services", ["fresh_until"], unique=False)
    op.create_index("services_listed", "services", ["archived_at", "state", "type"], unique=False)
    op.create_index("services_state", "services", ["state", "id", "task_total"], unique=False)
    op.create_index("services_task_total", "services", ["task_total"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("csrf_token", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("agent", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("sessions_user", "sessions", ["user"], unique=False)
    op.create_table(
        "store_facts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "task_counts",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", "status"),
    )
    op.create_table(
        "tasks",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("group_id", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="", nullable=False),
        sa.Column("start_time", sa.Text(), server_default="", nullable=False),
        sa.Column("stop_time", sa.Text(), server_default="", nullable=False),
        sa.Column("reserved", sa.Text(), server_default="", nullable=False),
        sa.Column("service_id", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("user_since", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.Column("adrift", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("schedule", sa.Text(), server_default="", nullable=False),
        sa.Column("schedule_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(
        "tasks_adrift",
        "tasks",
        ["id"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL AND adrift IS 1"),
        postgresql_where=sa.text("gone_at IS NULL AND adrift IS true"),
    )
    op.create_index(
        "tasks_failed",
        "tasks",
        ["id", "status", "user", "group_id", "service_id", "schedule", "adrift", "updated_at", "gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL AND status = 'failed'"),
        postgresql_where=sa.text("gone_at IS NULL AND status = 'failed'"),
    )
    op.create_index(
        "tasks_gone",
        "tasks",
        ["updated_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NOT NULL"),
        postgresql_where=sa.text("gone_at IS NOT NULL"),
    )
    op.create_index(
        "tasks_gone_at",
        "tasks",
        ["gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NOT NULL"),
        postgresql_where=sa.text("gone_at IS NOT NULL"),
    )
    op.create_index(
        "tasks_group",
        "tasks",
        ["group_id", "updated_at", "pk", "status", "user", "service_id", "schedule", "adrift", "gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_index(
        "tasks_name",
        "tasks",
        ["name"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_index(
        "tasks_schedule_at",
        "tasks",
        ["schedule_at"],
        unique=False,
        sqlite_where=sa.text("schedule_at IS NOT NULL"),
        postgresql_where=sa.text("schedule_at IS NOT NULL"),
    )
    op.create_index(
        "tasks_service",
        "tasks",
        ["service_id", "id", "status", "user", "group_id", "schedule", "adrift", "updated_at", "gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_index(
        "tasks_should_run",
        "tasks",
        ["id"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL AND schedule = 'should_run'"),
        postgresql_where=sa.text("gone_at IS NULL AND schedule = 'should_run'"),
    )
    op.create_index(
        "tasks_status",
        "tasks",
        ["status", "updated_at", "pk", "user", "group_id", "service_id", "schedule", "adrift", "gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_index(
        "tasks_unowned",
        "tasks",
        ["id"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL AND \"user\" = ''"),
        postgresql_where=sa.text("gone_at IS NULL AND \"user\" = ''"),
    )
    op.create_index(
        "tasks_until",
        "tasks",
        ["until"],
        unique=False,
        sqlite_where=sa.text("until IS NOT NULL"),
        postgresql_where=sa.text("until IS NOT NULL"),
    )
    op.create_index(
        "tasks_updated",
        "tasks",
        ["updated_at", "pk", "status", "user", "group_id", "service_id", "schedule", "adrift", "gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_index(
        "tasks_user",
        "tasks",
        ["user", "updated_at", "pk", "status", "group_id", "service_id", "schedule", "adrift", "gone_at"],
        unique=False,
        sqlite_where=sa.text("gone_at IS NULL"),
        postgresql_where=sa.text("gone_at IS NULL"),
    )
    op.create_table(
        "tokens",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("scopes", sa.Text(), server_default="[]", nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("tokens_user", "tokens", ["user"], unique=False)
    op.create_table(
        "users",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("groups", sa.Text(), server_default="[]", nullable=False),
        sa.Column("password_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("must_change", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("away_until", sa.BigInteger(), nullable=True),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_sign_in_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "views",
        sa.Column("pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("user", sa.Text(), server_default="", nullable=False),
        sa.Column("group_id", sa.Text(), server_default="", nullable=False),
        sa.Column("query", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_table("vouched", sa.Column("task_id", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("task_id"))
    sqlite.create_guards(op.get_bind())
    sqlite.create_search(op.get_bind())

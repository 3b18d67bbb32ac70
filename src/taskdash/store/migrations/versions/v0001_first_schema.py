"""First schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from taskdash.store.dialect import of

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
_WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _what_comes_in()
    _history()
    _services()
    _tasks()
    _task_indexes()
    _people()
    _sign_ins()
    of(op.get_bind()).create_guards(op.get_bind())
    of(op.get_bind()).create_search(op.get_bind())


def _what_comes_in() -> None:
    op.create_table(
        "clashes",
        *_names("task_id", "service_id"),
        *_numbers("at"),
        sa.PrimaryKeyConstraint("task_id", "service_id"),
    )
    op.create_table(
        "dead_letters",
        _key("id"),
        *_numbers("at"),
        *_texts("topic", "reason"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        *_numbers("size_bytes"),
        *_texts("source", "sender"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "senders",
        *_names("id"),
        *_numbers("first_at", "last_at", "count"),
        *_texts("sender"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "vouched",
        *_names("task_id"),
        sa.PrimaryKeyConstraint("task_id"),
    )
    _index("senders_last_at", "senders", ["last_at"])


def _history() -> None:
    op.create_table(
        "events",
        _key("seq"),
        *_numbers("at"),
        *_texts("kind", "subject_type", "subject_id", "actor_type", "actor_id", "channel"),
        _json("before", "{}"),
        _json("after", "{}"),
        *_texts("evidence"),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "incidents",
        _key("pk"),
        *_names("id"),
        *_texts("kind", "cause", "state"),
        *_numbers("opened_at"),
        *_instants("resolved_at"),
        *_texts("acknowledged_by"),
        *_instants("acknowledged_at"),
        *_texts("sentence", "evidence"),
        *_instants("next_reminder_at"),
        _json("services", "[]"),
        *_numbers("last_at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "idempotency",
        _key("pk"),
        *_names("key"),
        *_texts("request_digest"),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        *_numbers("at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("key"),
    )
    _index("events_kind", "events", ["kind", "seq"])
    _index("events_subject", "events", ["subject_type", "subject_id", "seq"])
    _index("incidents_cause", "incidents", ["kind", "cause", "state"])
    _index("incidents_state", "incidents", ["state", "opened_at"])
    _index("idempotency_at", "idempotency", ["at"])


def _services() -> None:
    op.create_table(
        "services",
        _key("pk"),
        *_names("id"),
        *_texts("name", "type", "url", "description", "reserved"),
        sa.Column("interval_s", sa.Float(), nullable=False),
        sa.Column("collect_interval_s", sa.Float(), nullable=False),
        *_texts("method"),
        *_numbers("created_at", "registered_at"),
        _json("told_at", "[]"),
        *_numbers("updated_at"),
        *_texts("source"),
        *_instants("last_beat_at", "left_at"),
        *_numbers("beat_bits", "beat_known"),
        *_texts("state"),
        *_numbers("since"),
        *_texts("reason", "last_known", "evidence"),
        *_numbers("judge_from"),
        *_instants("due_at"),
        *_flags("flapping"),
        _json("flaps", "[]"),
        *_instants("paused_until"),
        *_texts("paused_by", "pause_reason"),
        *_instants("archived_at", "collect_at"),
        sa.Column("collect_ok", sa.Boolean(), nullable=True),
        *_instants("collected_at", "collect_ok_at"),
        *_texts("collect_error"),
        *_instants("collect_error_at"),
        *_numbers("collect_failures"),
        sa.Column("collect_took_ms", sa.Float(), nullable=True),
        _json("collect_problems", "[]"),
        *_texts("collect_etag", "collect_last_modified", "collect_digest"),
        *_instants("fresh_until"),
        *_numbers("task_total"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    _index("services_collect_at", "services", ["collect_at"])
    _index("services_due_at", "services", ["due_at"])
    _index("services_fresh_until", "services", ["fresh_until"])
    _index("services_listed", "services", ["archived_at", "state", "type"])
    _index("services_state", "services", ["state", "id", "task_total"])
    _index("services_task_total", "services", ["task_total"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        _key("pk"),
        *_names("id"),
        *_texts("name", "url", "user", "group_id", "description", "status"),
        *_texts("start_time", "stop_time", "reserved", "service_id"),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        *_flags("pinned"),
        *_instants("until", "user_since"),
        *_numbers("created_at", "updated_at", "status_at"),
        *_instants("gone_at"),
        *_flags("adrift"),
        *_texts("schedule"),
        *_instants("schedule_at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "task_counts",
        *_names("kind", "value", "status"),
        *_numbers("n"),
        sa.PrimaryKeyConstraint("kind", "value", "status"),
    )


def _people() -> None:
    op.create_table(
        "groups",
        _key("pk"),
        *_names("id"),
        *_texts("name"),
        *_numbers("created_at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "users",
        _key("pk"),
        *_names("name"),
        *_texts("role"),
        _json("groups", "[]"),
        *_texts("password_hash"),
        *_flags("must_change", "disabled"),
        *_instants("away_until"),
        *_texts("language"),
        *_numbers("created_at"),
        *_instants("last_sign_in_at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "views",
        _key("pk"),
        *_names("id"),
        *_texts("name", "user", "group_id", "query"),
        *_numbers("created_at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("id"),
    )


def _sign_ins() -> None:
    op.create_table(
        "sessions",
        _key("pk"),
        *_names("id", "digest"),
        *_texts("user", "csrf_token"),
        *_numbers("created_at", "last_seen_at", "expires_at"),
        *_texts("address", "agent"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "tokens",
        _key("pk"),
        *_names("id", "digest"),
        *_texts("user", "name", "role"),
        _json("scopes", "[]"),
        *_numbers("created_at"),
        *_instants("expires_at", "last_used_at", "revoked_at"),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "store_facts",
        *_names("key"),
        *_texts("value"),
        sa.PrimaryKeyConstraint("key"),
    )
    _index("sessions_user", "sessions", ["user"])
    _index("tokens_user", "tokens", ["user"])


def _task_indexes() -> None:
    _index("tasks_adrift", "tasks", ["id"], "gone_at IS NULL AND adrift IS true")
    _index(
        "tasks_failed",
        "tasks",
        ["id", "status", "user", "group_id", "service_id", "schedule", "adrift", "updated_at", "gone_at"],
        "gone_at IS NULL AND status = 'failed'",
    )
    _index("tasks_gone", "tasks", ["updated_at"], "gone_at IS NOT NULL")
    _index("tasks_gone_at", "tasks", ["gone_at"], "gone_at IS NOT NULL")
    _index(
        "tasks_group",
        "tasks",
        ["group_id", "updated_at", "pk", "status", "user", "service_id", "schedule", "adrift", "gone_at"],
        "gone_at IS NULL",
    )
    _index("tasks_name", "tasks", ["name"], "gone_at IS NULL")
    _index("tasks_schedule_at", "tasks", ["schedule_at"], "schedule_at IS NOT NULL")
    _index(
        "tasks_service",
        "tasks",
        ["service_id", "id", "status", "user", "group_id", "schedule", "adrift", "updated_at", "gone_at"],
        "gone_at IS NULL",
    )
    _index("tasks_should_run", "tasks", ["id"], "gone_at IS NULL AND schedule = 'should_run'")
    _index(
        "tasks_status",
        "tasks",
        ["status", "updated_at", "pk", "user", "group_id", "service_id", "schedule", "adrift", "gone_at"],
        "gone_at IS NULL",
    )
    _index("tasks_unowned", "tasks", ["id"], "gone_at IS NULL AND \"user\" = ''")
    _index("tasks_until", "tasks", ["until"], "until IS NOT NULL")
    _index(
        "tasks_updated",
        "tasks",
        ["updated_at", "pk", "status", "user", "group_id", "service_id", "schedule", "adrift", "gone_at"],
        "gone_at IS NULL",
    )
    _index(
        "tasks_user",
        "tasks",
        ["user", "updated_at", "pk", "status", "group_id", "service_id", "schedule", "adrift", "gone_at"],
        "gone_at IS NULL",
    )


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _names(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _WORDS, nullable=False) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _WORDS, server_default="", nullable=False) for name in names]


def _json(name: str, empty: str) -> sa.Column[str]:
    return sa.Column(name, _WORDS, server_default=empty, nullable=False)


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in names]


def _instants(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=True) for name in names]


def _flags(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False) for name in names]


def _index(name: str, table: str, columns: Sequence[str], where: str = "") -> None:
    """`where` as PostgreSQL writes it; SQLite's planner knows booleans as 1 and 0."""
    if not where:
        op.create_index(name, table, list(columns), unique=False)
        return
    own = where.replace("IS true", "IS 1").replace("IS false", "IS 0")
    op.create_index(name, table, list(columns), unique=False, sqlite_where=sa.text(own), postgresql_where=sa.text(where))

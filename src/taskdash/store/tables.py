"""Every table, one column a record field. The schema's only home; migrations follow it.

Instants are integers (nanoseconds UTC), lists and objects JSON text, unset text "". Names of columns are those of
`model.records`, so that a row becomes its record by name.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()
Words = Text().with_variant(Text(collation="C"), "postgresql")
"""Ordered and compared byte for byte, whatever the database was created with; so does SQLite."""
# SQLite gives rowid speed and AUTOINCREMENT only to INTEGER; PostgreSQL needs 64 bits.
Number = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Words, nullable=False, server_default="")


def _at(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=True)


def _must_at(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _number(name: str, default: int = 0) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=str(default))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def _json(name: str, empty: str) -> Column[str]:
    return Column(name, Words, nullable=False, server_default=empty)


def _few(name: str, column: str) -> Index:
    """An index over the few rows that have the column; the others do not pay for it."""
    return Index(name, column, sqlite_where=text(f"{column} IS NOT NULL"), postgresql_where=text(f"{column} IS NOT NULL"))


def _listed(name: str, *columns: str, only: str = "") -> Index:
    """An index over the tasks that lists show; gone ones are few and elsewhere (STORE.md, Lists)."""
    where = text(f"gone_at IS NULL{f' AND {only}' if only else ''}")
    return Index(name, *columns, sqlite_where=text(where.text.replace("IS true", "IS 1")), postgresql_where=where)


def _covering(name: str, *columns: str, only: str = "") -> Index:
    """As `_listed`, with all that filters ask after it: a row of such an index costs a thirtieth of a row of the table."""
    return _listed(name, *columns, *(column for column in FILTERED if column not in columns), only=only)


BY_PK, ID_INDEX = "pk", "tasks_id"
"""As the index by which a query enters: the table itself, and what makes the ids of tasks unique. Else an index's own name."""
KEPT_KINDS = ("user.", "group.", "token.", "session.", "store.")
BINDING_KINDS = ("claimed", "assigned", "released", "pinned", "unpinned", "handed_over", "transferred")
"""Events that are kept for ever: of accounts and the store, by how they begin, and of bindings, after `task.`."""
FILTERED = ("status", "user", "group_id", "service_id", "schedule", "adrift", "updated_at", "gone_at")
_ADRIFT = "adrift IS true"
_SHOULD_RUN = "schedule = 'should_run'"
_FAILED = "status = 'failed'"
_UNOWNED = "\"user\" = ''"


services = Table(
    "services",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    _text("name"),
    _text("type"),
    _text("url"),
    _text("description"),
    _text("reserved"),
    Column("interval_s", Float, nullable=False),
    Column("collect_interval_s", Float, nullable=False),
    _text("method"),
    _must_at("created_at"),
    _must_at("registered_at"),
    _json("told_at", "[]"),
    _must_at("updated_at"),
    _text("source"),
    _at("last_beat_at"),
    _at("left_at"),
    _number("beat_bits"),
    _number("beat_known"),
    _text("state"),
    _must_at("since"),
    _text("reason"),
    _text("last_known"),
    _text("evidence"),
    _must_at("judge_from"),
    _at("due_at"),
    _flag("flapping"),
    _json("flaps", "[]"),
    _at("paused_until"),
    _text("paused_by"),
    _text("pause_reason"),
    _at("archived_at"),
    _at("collect_at"),
    Column("collect_ok", Boolean, nullable=True),
    _at("collected_at"),
    _at("collect_ok_at"),
    _text("collect_error"),
    _at("collect_error_at"),
    _number("collect_failures"),
    Column("collect_took_ms", Float, nullable=True),
    _json("collect_problems", "[]"),
    _text("collect_etag"),
    _text("collect_last_modified"),
    _text("collect_digest"),
    _at("fresh_until"),
    _number("task_total"),
    Index("services_due_at", "due_at"),
    Index("services_collect_at", "collect_at"),
    Index("services_state", "state", "id", "task_total"),
    Index("services_listed", "archived_at", "state", "type"),
    Index("services_task_total", "task_total"),
    Index("services_fresh_until", "fresh_until"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    _text("name"),
    _text("url"),
    _text("user"),
    _text("group_id"),
    _text("description"),
    _text("status"),
    _text("start_time"),
    _text("stop_time"),
    _text("reserved"),
    _text("service_id"),
    _number("version", 1),
    _flag("pinned"),
    _at("until"),
    _at("user_since"),
    _must_at("created_at"),
    _must_at("updated_at"),
    _must_at("status_at"),
    _at("gone_at"),
    _flag("adrift"),
    _text("schedule"),
    _at("schedule_at"),
    _few("tasks_until", "until"),
    _few("tasks_schedule_at", "schedule_at"),
    _few("tasks_gone_at", "gone_at"),
    Index("tasks_gone", "updated_at", sqlite_where=text("gone_at IS NOT NULL"), postgresql_where=text("gone_at IS NOT NULL")),
    _covering("tasks_updated", "updated_at", "pk"),
    _covering("tasks_status", "status", "updated_at", "pk"),
    _covering("tasks_user", "user", "updated_at", "pk"),
    _covering("tasks_group", "group_id", "updated_at", "pk"),
    _covering("tasks_service", "service_id", "id"),
    _covering("tasks_failed", "id", only=_FAILED),
    _listed("tasks_name", "name"),
    _listed("tasks_unowned", "id", only=_UNOWNED),
    _listed("tasks_adrift", "id", only=_ADRIFT),
    _listed("tasks_should_run", "id", only=_SHOULD_RUN),
)

task_counts = Table(
    "task_counts",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("value", Words, primary_key=True),
    Column("status", Words, primary_key=True),
    _number("n"),
)

events = Table(
    "events",
    metadata,
    Column("seq", Number, primary_key=True),
    _must_at("at"),
    _text("kind"),
    _text("subject_type"),
    _text("subject_id"),
    _text("actor_type"),
    _text("actor_id"),
    _text("channel"),
    _json("before", "{}"),
    _json("after", "{}"),
    _text("evidence"),
    Index("events_subject", "subject_type", "subject_id", "seq"),
    Index("events_kind", "kind", "seq"),
    sqlite_autoincrement=True,
)

incidents = Table(
    "incidents",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    _text("kind"),
    _text("cause"),
    _text("state"),
    _must_at("opened_at"),
    _at("resolved_at"),
    _text("acknowledged_by"),
    _at("acknowledged_at"),
    _text("sentence"),
    _text("evidence"),
    _at("next_reminder_at"),
    _json("services", "[]"),
    _must_at("last_at"),
    Index("incidents_state", "state", "opened_at"),
    Index("incidents_cause", "kind", "cause", "state"),
)

users = Table(
    "users",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
    _text("role"),
    _json("groups", "[]"),
    _text("password_hash"),
    _flag("must_change"),
    _flag("disabled"),
    _at("away_until"),
    _text("language"),
    _must_at("created_at"),
    _at("last_sign_in_at"),
)

groups = Table(
    "groups",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    _text("name"),
    _must_at("created_at"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    Column("digest", Words, nullable=False, unique=True),
    _text("user"),
    _text("name"),
    _text("role"),
    _json("scopes", "[]"),
    _must_at("created_at"),
    _at("expires_at"),
    _at("last_used_at"),
    _at("revoked_at"),
    Index("tokens_user", "user"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    Column("digest", Words, nullable=False, unique=True),
    _text("user"),
    _text("csrf_token"),
    _must_at("created_at"),
    _must_at("last_seen_at"),
    _must_at("expires_at"),
    _text("address"),
    _text("agent"),
    Index("sessions_user", "user"),
)

views = Table(
    "views",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    _text("name"),
    _text("user"),
    _text("group_id"),
    _text("query"),
    _must_at("created_at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("pk", Number, primary_key=True),
    Column("key", Words, nullable=False, unique=True),
    _text("request_digest"),
    Column("status", Integer, nullable=True),
    Column("answer", LargeBinary, nullable=True),
    _must_at("at"),
    _text("instance"),
    Index("idempotency_at", "at"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Number, primary_key=True),
    _must_at("at"),
    _text("topic"),
    _text("reason"),
    Column("body", LargeBinary, nullable=False),
    _number("size_bytes"),
    _text("source"),
    _text("sender"),
    sqlite_autoincrement=True,
)

senders = Table(
    "senders",
    metadata,
    Column("id", Words, primary_key=True),
    _must_at("first_at"),
    _must_at("last_at"),
    _number("count"),
    _text("sender"),
    Index("senders_last_at", "last_at"),
)

vouched = Table(
    "vouched",
    metadata,
    Column("task_id", Words, primary_key=True),
    _text("instance"),
)

clashes = Table(
    "clashes",
    metadata,
    Column("task_id", Words, primary_key=True),
    Column("service_id", Words, primary_key=True),
    _must_at("at"),
)

store_facts = Table(
    "store_facts",
    metadata,
    Column("key", Words, primary_key=True),
    _text("value"),
)

instances = Table(
    "instances",
    metadata,
    Column("id", Words, primary_key=True),
    _must_at("seen_at"),
    _json("report", "{}"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Words, primary_key=True),
    _text("holder"),
    _must_at("until"),
)

tries = Table(
    "tries",
    metadata,
    Column("key", Words, primary_key=True),
    _number("tries"),
    _must_at("since"),
    _must_at("last_at"),
    _must_at("next_turn"),
    Index("tries_last_at", "last_at"),
)

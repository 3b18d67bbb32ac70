"""What TaskDash knows, as frozen records. Pure: no IO, no defaults that read anything.

Instants are nanoseconds UTC (`model.instants`), durations end in `_s`, unset text is `""` and never null (SPEC 1).
`Registration` and `TaskFields` are what a program sent: a field that it left out is `UNSET`, which means `""` on creation
and "leave as it is" on update.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from taskdash.model.instants import Instant

Text = str | UnsetType
Role = Literal["viewer", "member", "lead", "admin"]
Scope = Literal["read", "ingest", "claim", "admin"]
State = Literal["new", "up", "late", "down", "left", "unknown", "paused"]
UnknownReason = Literal["", "startup", "input", "mass"]
Channel = Literal["web", "api", "tcp", "collector", "nsq", "system", "cli"]


class Message(Struct, frozen=True):
    """One NSQ message (or its HTTP twin) as it arrived. `sent_at`: nsqd's message timestamp, or arrival when embedded."""

    topic: str
    body: bytes
    sent_at: Instant
    source: str
    """The input it came through, a key of `health.Inputs`: `nsq` or `nsq-http` (listeners), `nsqd:HOST:PORT`, `http`."""
    sender: str = ""
    """Address of the peer, for people; never decides anything."""


class Registration(Struct, frozen=True, kw_only=True):
    """TaskService (SPEC 2)."""

    id: str
    name: Text = UNSET
    type: Text = UNSET
    url: Text = UNSET
    description: Text = UNSET
    reserved: Text = UNSET


class Heartbeat(Struct, frozen=True, kw_only=True):
    """HeartBeat (SPEC 2)."""

    id: str
    reserved: Text = UNSET


class TaskFields(Struct, frozen=True, kw_only=True):
    """A task as a program told it: TCP Register and Update (SPEC 5), TaskMetaData (SPEC 4)."""

    id: str
    name: Text = UNSET
    url: Text = UNSET
    user: Text = UNSET
    group_id: Text = UNSET
    description: Text = UNSET
    status: Text = UNSET
    start_time: Text = UNSET
    stop_time: Text = UNSET
    reserved: Text = UNSET


class Hints(Struct, frozen=True, kw_only=True):
    """What a service said inside `reserved` (SPEC 1). `problems`: one sentence a key whose value is wrong."""

    heartbeat_interval_s: float | None = None
    collect_interval_s: float | None = None
    method: str = ""
    group_id: str = ""
    program_version: str = ""
    host: str = ""
    leaving: bool = False
    problems: tuple[str, ...] = ()


class Service(Struct, frozen=True, kw_only=True):
    """A stored service. `pk` is the store's own number, 0 before it is stored. One column a field (`store.tables`)."""

    pk: int = 0
    id: str
    name: str = ""
    type: str = ""
    url: str = ""
    description: str = ""
    reserved: str = ""
    interval_s: float = 10.0
    """Clamped to 1 s..1 day; 0: no beats expected."""
    collect_interval_s: float = 15.0
    method: str = ""
    """`GET`, `POST`, or empty while not yet known; POST from a hint or from what worked (SPEC 4)."""
    created_at: Instant = 0
    registered_at: Instant = 0
    """Time of the newest registration message that counted."""
    told_at: tuple[Instant, ...] = ()
    """Message times of name, type, url, description, reserved: which message told each last (RELIABILITY R4)."""
    updated_at: Instant = 0
    source: str = ""
    """The input through which the last beat or registration came."""
    last_beat_at: Instant | None = None
    left_at: Instant | None = None
    beat_bits: int = 0
    """The last 30 intervals, bit 0 the newest: 1 where a beat came."""
    beat_known: int = 0
    """The same intervals: 1 where TaskDash could see."""
    # liveness (SPEC 3)
    state: State = "new"
    since: Instant = 0
    reason: UnknownReason = ""
    last_known: State | Literal[""] = ""
    evidence: str = ""
    judge_from: Instant = 0
    """Deadlines count from the newest of this, the last beat and the registration (end of a pause moves it)."""
    due_at: Instant | None = None
    """When liveness must look again; null: nothing to wait for."""
    flapping: bool = False
    flaps: tuple[Instant, ...] = ()
    """Changes between up and down in the last 10 minutes, oldest first."""
    paused_until: Instant | None = None
    paused_by: str = ""
    pause_reason: str = ""
    archived_at: Instant | None = None
    # collecting (SPEC 4)
    collect_at: Instant | None = None
    """When it is to be asked next; null: no url."""
    collect_ok: bool | None = None
    collected_at: Instant | None = None
    collect_ok_at: Instant | None = None
    collect_error: str = ""
    collect_error_at: Instant | None = None
    """Since when it fails."""
    collect_failures: int = 0
    collect_took_ms: float | None = None
    collect_problems: tuple[dict[str, str], ...] = ()
    collect_etag: str = ""
    collect_last_modified: str = ""
    collect_digest: str = ""
    """Hash of the last answer that was applied whole."""
    fresh_until: Instant | None = None
    """Last good collection plus 3 collect intervals; its tasks are stale after it."""
    task_total: int = 0
    """Tasks of this service that are not gone; kept by the store."""


class Task(Struct, frozen=True, kw_only=True):
    """A stored task with its binding (SPEC 5, 6). `liveness`, `stale` and `at_risk` come from its service at read."""

    pk: int = 0
    id: str
    name: str = ""
    url: str = ""
    user: str = ""
    group_id: str = ""
    description: str = ""
    status: str = ""
    start_time: str = ""
    stop_time: str = ""
    reserved: str = ""
    service_id: str = ""
    version: int = 1
    pinned: bool = False
    until: Instant | None = None
    user_since: Instant | None = None
    """Since when `user` holds it; of a task that somebody released: since when nobody does."""
    created_at: Instant = 0
    updated_at: Instant = 0
    status_at: Instant = 0
    gone_at: Instant | None = None
    adrift: bool = False
    """The TCP connection that vouched for it is gone (SPEC 5)."""
    schedule: Literal["none", "ok", "should_run", "should_stop"] = "none"
    schedule_at: Instant | None = None
    """When `schedule` is to be looked at again (a window opens or closes)."""


class Actor(Struct, frozen=True, kw_only=True):
    """Who does it, and how it came in. Role, groups and scopes only for `type` user."""

    type: Literal["user", "service", "connection", "system"]
    id: str
    channel: Channel
    role: Role = "viewer"
    groups: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    """Empty: all that the role may."""
    address: str = ""
    """Where a person or program called from; history of accounts names it (RELIABILITY R160)."""


SYSTEM = Actor(type="system", id="taskdash", channel="system")


class NewEvent(Struct, frozen=True, kw_only=True):
    """One line of history, before the store gave it its seq (SPEC 8, Event). before/after: only the fields that changed."""

    at: Instant
    kind: str
    subject_type: Literal["task", "service", "incident", "user", "group", "token", "session", "system"]
    subject_id: str
    actor_type: Literal["user", "service", "connection", "system"] = "system"
    actor_id: str = "taskdash"
    channel: Channel = "system"
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""


class Event(NewEvent, frozen=True, kw_only=True):
    """One line of history, with its place in the feed."""

    seq: int


class Incident(Struct, frozen=True, kw_only=True):
    """One thing that is wrong now (SPEC 7). `cause` makes it one a kind and cause."""

    id: str
    kind: str
    """down | flapping | clash | collect | input | dead_letters | store."""
    cause: str
    state: Literal["open", "acknowledged", "resolved"] = "open"
    opened_at: Instant = 0
    resolved_at: Instant | None = None
    acknowledged_by: str = ""
    acknowledged_at: Instant | None = None
    sentence: str = ""
    evidence: str = ""
    next_reminder_at: Instant | None = None
    services: tuple[str, ...] = ()
    last_at: Instant = 0
    """The last time that its cause was seen."""


class User(Struct, frozen=True, kw_only=True):
    """An account. `disabled` and `away_until` make what it holds at risk (SPEC 6)."""

    name: str
    role: Role
    groups: tuple[str, ...] = ()
    password_hash: str = ""
    must_change: bool = False
    disabled: bool = False
    away_until: Instant | None = None
    language: str = ""
    created_at: Instant = 0
    last_sign_in_at: Instant | None = None


class Token(Struct, frozen=True, kw_only=True):
    """A token's record; only the SHA-256 of its text is stored (RELIABILITY R148)."""

    id: str
    user: str
    name: str
    role: Role
    scopes: tuple[Scope, ...] = ()
    created_at: Instant = 0
    expires_at: Instant | None = None
    last_used_at: Instant | None = None
    revoked_at: Instant | None = None


class Session(Struct, frozen=True, kw_only=True):
    """A browser's sign-in; only the SHA-256 of the cookie is stored (RELIABILITY R140)."""

    id: str
    user: str
    csrf_token: str
    created_at: Instant
    last_seen_at: Instant
    expires_at: Instant
    address: str = ""
    agent: str = ""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that cannot be understood (SPEC 2): reason and the first 4 KiB of its body."""

    id: int = 0
    at: Instant
    topic: str
    reason: str
    body: bytes
    size_bytes: int
    source: str = ""
    sender: str = ""


class Sender(Struct, frozen=True, kw_only=True):
    """Who beats without ever having registered (SPEC 3)."""

    id: str
    first_at: Instant
    last_at: Instant
    count: int
    sender: str = ""


class SavedView(Struct, frozen=True, kw_only=True):
    """A named query string of the board: `user`'s own, or shared with `group_id` (SPEC 8)."""

    id: str
    name: str
    user: str
    group_id: str = ""
    query: str = ""
    created_at: Instant = 0

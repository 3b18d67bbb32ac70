"""What must hold when the hour is over. Each check gives a sentence for each thing that does not; pure, but for `read`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.rows import dict_row

from tests.faults.claims_model import Call, unexplained
from tests.faults.hour.programs import VICTIM
from tests.faults.hour.watchers import Watcher
from tests.faults.hour.writers import Written

Row = Mapping[str, Any]


class Stored(Struct, frozen=True):
    """What the database holds in the end."""

    events: Sequence[Row]
    incidents: Sequence[Row]
    tasks: dict[str, Row]
    services: dict[str, Row]

    @property
    def newest(self) -> int:
        """The seq of the last event."""
        return int(self.events[-1]["seq"])


def read(url: str) -> Stored:
    """All of it as of one moment, by a connection that TaskDash knows nothing of."""
    with psycopg.connect(url, row_factory=dict_row) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        events = conn.execute("SELECT * FROM events ORDER BY seq").fetchall()
        for event in events:
            decoded(event)
        incidents = conn.execute("SELECT * FROM incidents ORDER BY pk").fetchall()
        tasks, services = (conn.execute(f"SELECT * FROM {name}").fetchall() for name in ("tasks", "services"))  # type: ignore[arg-type]
    return Stored(events, incidents, {row["id"]: row for row in tasks}, {row["id"]: row for row in services})


def states(url: str) -> dict[str, str]:
    """Of every service."""
    with psycopg.connect(url) as conn:
        return dict(conn.execute("SELECT id, state FROM services").fetchall())


def decoded(event: dict[str, Any]) -> dict[str, Any]:
    """A row of events, with what it tells as objects."""
    event["before"], event["after"] = (_object(event[name]) for name in ("before", "after"))
    return event


def _object(told: Any) -> Any:
    return json.loads(told) if isinstance(told, str | bytes) else told


def lost_writes(written: Mapping[str, Written], stored: Stored) -> Iterator[str]:
    """Acknowledged and not there, or refused and there."""
    for task, known in written.items():
        row = stored.tasks.get(task)
        if row is None:
            if known.acknowledged is not None:
                yield f"{task} was acknowledged and is not stored"
        elif row["description"] not in {known.acknowledged, *known.unknown}:
            yield f"{task} holds {row['description']!r}; acknowledged {known.acknowledged!r}, unknown {sorted(known.unknown)}"


def unknown_services(ids: Iterable[str], stored: Stored) -> Iterator[str]:
    """Registered through nsqd and not stored."""
    return (f"{name} registered and is not stored" for name in ids if name not in stored.services)


def false_downs(stored: Stored) -> Iterator[str]:
    """Called down while they beat; and the one that died not exactly once."""
    downs = [event for event in _states(stored) if event["after"]["state"] == "down"]
    for event in downs:
        if event["subject_id"] != VICTIM:
            yield f"{event['subject_id']} was called down while it beat: {event['evidence']}"
    found = sum(event["subject_id"] == VICTIM for event in downs)
    if found != 1:
        yield f"{VICTIM} died once and was called down {found} times"


def repeated_states(stored: Stored) -> Iterator[str]:
    """Two events of one service that tell the same change."""
    last: dict[str, tuple[Any, Any]] = {}
    for event in _states(stored):
        told = event["after"]["state"], event["after"].get("reason", "")
        if last.get(event["subject_id"]) == told and "flapping" not in event["after"]:
            yield f"{event['subject_id']} became {told} twice, again at seq {event['seq']}"
        last[event["subject_id"]] = told


def _states(stored: Stored) -> Iterator[Row]:
    return (event for event in stored.events if event["kind"] == "service.state")


def repeated_incidents(stored: Stored) -> Iterator[str]:
    """Two of one kind and cause at one time, or one told twice."""
    for n, one in enumerate(stored.incidents):
        for other in stored.incidents[:n]:
            is_same = (one["kind"], one["cause"]) == (other["kind"], other["cause"])
            ended = other["resolved_at"]
            if is_same and (ended is None or ended > one["opened_at"]):
                yield f"two incidents {one['kind']} {one['cause']} at one time"
    told = [(event["kind"], event["subject_id"]) for event in stored.events if event["kind"].startswith("incident.")]
    yield from (f"{kind} of {name} was told twice" for kind, name in sorted({one for one in told if told.count(one) > 1}))


def wrong_claims(calls: Sequence[Call], stored: Stored) -> Iterator[str]:
    """No order explains the answers; or history does not tell what was answered, or tells what nobody asked."""
    for task in unexplained(calls):
        history = "\n".join(f"  {call}" for call in sorted(calls, key=lambda call: call.start) if call.task == task)
        yield f"the answers about {task} have no order that explains them:\n{history}\n{_history_of(task, stored)}"
    told: dict[tuple[str, int], Row] = {}
    holders: dict[str, str] = {}
    for event in stored.events:
        if event["kind"] in {"task.claimed", "task.released"}:
            task = event["subject_id"]
            told[task, event["after"]["version"]] = event
            if event["before"]["user"] != holders.get(task, ""):
                yield f"history of {task} breaks at seq {event['seq']}"
            holders[task] = event["after"]["user"]
    yield from _not_told(calls, told)
    yield from _not_asked(calls, told)
    for task, user in _held(stored):
        if user != holders.get(task, ""):
            yield f"{task} is held by {user!r}, and history says {holders.get(task, '')!r}"


def _history_of(task: str, stored: Stored) -> str:
    told = (event for event in stored.events if event["subject_id"] == task)
    return "\n".join(f"  {event['kind']} {event['actor_id']} {event['at']} {event['after']}" for event in told)


def _held(stored: Stored) -> Iterator[tuple[str, str]]:
    return ((task, row["user"]) for task, row in stored.tasks.items() if task.startswith("wanted-"))


def _not_told(calls: Sequence[Call], told: Mapping[tuple[str, int], Row]) -> Iterator[str]:
    for call in calls:
        if call.outcome == "ok" and call.version > 1:
            event = told.get((call.task, call.version))
            if event is None or event["after"]["user"] != (call.user if call.what == "claim" else ""):
                yield f"{call} was acknowledged, and history has {event and event['after']}"


def _not_asked(calls: Sequence[Call], told: Mapping[tuple[str, int], Row]) -> Iterator[str]:
    """An event needs a call that was answered with its version, or one of unknown outcome."""
    answered = {(call.task, call.version) for call in calls if call.outcome == "ok"}
    unknown = {(call.task, call.user, call.what) for call in calls if call.outcome == "unknown"}
    for (task, version), event in told.items():
        what = "claim" if event["kind"] == "task.claimed" else "release"
        if (task, version) not in answered and (task, event["actor_id"], what) not in unknown:
            yield f"nobody asked for seq {event['seq']}: {event['kind']} of {task} by {event['actor_id']}"


def wrong_streams(watchers: Sequence[Watcher], stored: Stored) -> Iterator[str]:
    """A watcher's list that is not the events table from where it began to what is stored."""
    for watcher in watchers:
        seen = [seq for seq in watcher.seen if seq <= stored.newest]
        wanted = [event["seq"] for event in stored.events if event["seq"] > watcher.after]
        if watcher.resets:
            yield f"{watcher.name} was told of {watcher.resets} gaps"
        if seen != wanted:
            missing, more = sorted(set(wanted) - set(seen)), sorted(set(seen) - set(wanted))
            yield f"{watcher.name} saw {len(seen)} of {len(wanted)}: missing {missing[:5]}, too many {more[:5]}"

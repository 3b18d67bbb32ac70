"""The newest events, each in one short line that names its subject as people do. UI 6 (Now)."""

from collections.abc import Sequence
from datetime import tzinfo

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.instants import Instant
from taskdash.model.records import Event
from taskdash.store import services, tasks
from taskdash.web.pages.lines import Changed, lines
from taskdash.web.pages.texts import Texts
from taskdash.web.pages.words import Word

Names = dict[tuple[str, str], str]
"""Name by type and id of a subject."""


class Short(Struct, frozen=True, kw_only=True):
    """One event in a line."""

    seq: int
    at: Instant
    word: Word
    id: str
    name: str
    href: str
    says_word: bool
    changes: list[Changed]
    who: str
    title: str


def names(conn: Connection, events: Sequence[Event]) -> Names:
    """What the tasks and services of these events are called."""
    ids = {kind: [e.subject_id for e in events if e.subject_type == kind] for kind in ("task", "service")}
    found: Names = {("task", key): task.name for key, task in tasks.load_many(conn, ids["task"]).items()}
    return found | {("service", key): each.name for key, each in services.load_many(conn, ids["service"]).items()}


def shorts(texts: Texts, events: Sequence[Event], called: Names, zone: tzinfo) -> list[Short]:
    """The events in their order."""
    return [_short(texts, event, called, zone) for event in events]


def _short(texts: Texts, event: Event, called: Names, zone: tzinfo) -> Short:
    line = lines(texts, [event], zone)[0]
    name = called.get((event.subject_type, event.subject_id), "")
    if event.subject_type == "incident":
        name = line.evidence.rstrip(".。")
    tells_itself = event.kind == "service.state" and bool(line.changes)
    return Short(
        seq=line.seq,
        at=line.at,
        word=line.word,
        id="" if (name and event.subject_type != "task") or line.subject_id == line.actor_id else line.subject_id,
        name=name,
        href=line.href,
        says_word=not tells_itself,
        changes=line.changes[:1] if event.kind in {"service.state", "task.changed"} else [],
        who=line.actor_id if line.person else "",
        title=line.title,
    )

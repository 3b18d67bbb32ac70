"""One line of history as people read it: what, what changed from what to what, and by whom. Pure. UI 6 (History)."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from taskdash.model.instants import Instant, parse_rfc3339
from taskdash.model.records import Event
from taskdash.web.pages import links, times, words
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.pages.told import told
from taskdash.web.pages.words import Word

_SHOWN = 5
_HIDDEN = {"version", "id"}
_SAID_BY_KIND = {"task.pinned", "task.unpinned", "task.gone", "task.back"}
_TIMES = {"until", "away_until"}
_NAMELESS = {"state", "status"}
"""Fields whose values say by themselves what they are."""
CHANNELS = {
    "web": mark("web page"),
    "api": mark("API"),
    "tcp": mark("TCP"),
    "collector": mark("collecting"),
    "nsq": mark("NSQ"),
    "system": mark("TaskDash"),
    "cli": mark("command line"),
}


class Changed(NamedTuple):
    """One field: its name, and its value before and after, in words."""

    name: str
    before: str
    after: str
    tone: str


class Line(NamedTuple):
    """One event, ready for a template."""

    seq: int
    at: Instant
    word: Word
    subject_word: str
    subject_id: str
    href: str
    changes: list[Changed]
    evidence: str
    person: bool
    actor_id: str
    actor_text: str
    channel: str
    by: str
    title: str
    day: str
    name: str = ""


def lines(
    texts: Texts,
    events: Sequence[Event],
    zone: tzinfo,
    today: str = "",
    called: Mapping[tuple[str, str], str] | None = None,
) -> list[Line]:
    """The events in their order; `day` is set on the first of each day but `today`. `called`: the names of their subjects."""
    found: list[Line] = []
    before = today
    for event in events:
        day = times.day(event.at, zone)
        line = _line(texts, event, zone, day if before and day != before else "")
        found.append(_named(line, event, called) if called is not None else line)
        before = day
    return found


def _named(line: Line, event: Event, called: Mapping[tuple[str, str], str]) -> Line:
    """An incident is called by its sentence, which is then not its evidence as well."""
    if event.subject_type == "incident":
        return line._replace(name=line.evidence, evidence="")
    return line._replace(name=called.get((event.subject_type, event.subject_id), ""))


def _line(texts: Texts, event: Event, zone: tzinfo, day: str) -> Line:
    changes = _changes(texts, event, zone)
    channel = texts(CHANNELS.get(event.channel, event.channel))
    person = event.actor_type == "user"
    actor_text = event.actor_id if event.actor_type in {"service", "connection"} else texts("system")
    told_changes = ", ".join(f"{c.name} {c.before} → {c.after}".strip() for c in changes)
    evidence = event.evidence if person else told(texts, event.evidence, event.at, zone)
    return Line(
        seq=event.seq,
        at=event.at,
        word=_word(event),
        subject_word=words.SUBJECTS.get(event.subject_type, event.subject_type),
        subject_id=event.subject_id,
        href=links.subject(event.subject_type, event.subject_id),
        changes=changes,
        evidence=evidence,
        person=person,
        actor_id=event.actor_id,
        actor_text=actor_text,
        channel=channel,
        by=f"{event.actor_id} · {channel}" if person else channel,
        title=" · ".join(text for text in (told_changes, evidence) if text),
        day=day,
    )


def _word(event: Event) -> Word:
    """The kind's word; a change of state or status takes the shape and colour of what it became."""
    known = words.word(words.KINDS, event.kind)
    if event.kind == "service.state" and "state" in event.after:
        became = words.word(words.STATES, str(event.after["state"]))
        return known._replace(tone=became.tone, icon=became.icon)
    if event.kind == "task.changed" and "status" in event.after:
        became = words.word(words.STATUSES, str(event.after["status"]))
        return known._replace(tone=became.tone, icon=became.icon, text=mark("status"))
    return known


def _changes(texts: Texts, event: Event, zone: tzinfo) -> list[Changed]:
    if event.kind in _SAID_BY_KIND:
        return []
    names = [name for name in event.after if name in event.before and name not in _HIDDEN]
    return [_changed(texts, name, event.before[name], event.after[name], zone) for name in names[:_SHOWN]]


def _changed(texts: Texts, name: str, before: Any, after: Any, zone: tzinfo) -> Changed:
    said = "" if name in _NAMELESS else texts(words.FIELDS.get(name, name))
    return Changed(said, _value(texts, name, before, zone), _value(texts, name, after, zone), _tone(name, after))


def _tone(name: str, value: Any) -> str:
    table = {"state": words.STATES, "status": words.STATUSES}.get(name)
    known = words.word(table, str(value)) if table else None
    return known.tone if known and known.tone == "er" else ""


def _value(texts: Texts, name: str, value: Any, zone: tzinfo) -> str:
    if isinstance(value, bool):
        return texts("yes") if value else texts("no")
    if not value and value != 0:
        return "—"
    table = {"state": words.STATES, "status": words.STATUSES}.get(name)
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if table and text in table:
        return texts(table[text].text)
    return _time(text, zone) if name in _TIMES else text if len(text) <= 80 else text[:79] + "…"


def _time(text: str, zone: tzinfo) -> str:
    try:
        return times.exact(parse_rfc3339(text), zone)
    except ValueError:
        return text

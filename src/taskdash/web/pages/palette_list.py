"""What the command palette lists: tasks, what can be done with the first, services, people, groups, history, places. UI 6.

Pure: records in, lines out. A match is bold by structure, never by markup in a text.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from taskdash.model.records import Event, Service, Task, User
from taskdash.rules import roles
from taskdash.store.accounts import Group
from taskdash.store.task_page import TaskRow
from taskdash.web.pages import links, times, words
from taskdash.web.pages.lines import lines
from taskdash.web.pages.render import THEMES, View
from taskdash.web.pages.texts import LANGUAGES, mark
from taskdash.web.pages.words import Word

MOST = 5
COUNTED = 99
Parts = list[tuple[str, bool]]
_PLACES = (
    ("/", mark("Now"), "pulse", "G N"),
    ("/tasks", mark("Tasks"), "list", "G T"),
    ("/mine", mark("Mine"), "person", "G M"),
    ("/services", mark("Services"), "grid", "G S"),
    ("/history", mark("History"), "list", "G H"),
    ("/keys", mark("Keys"), "list", "?"),
    ("/password", mark("Change password"), "user", ""),
)


class Entry(Struct, frozen=True, kw_only=True):
    """One line. It leads to `href`, or sends `fields` to `post`, or copies `copy`."""

    icon: str
    parts: Parts
    tone: str = ""
    code: Parts = []
    note: str = ""
    note_tone: str = "mu"
    end: str = ""
    end_word: Word | None = None
    key: str = ""
    href: str = ""
    post: str = ""
    fields: dict[str, str] = {}
    copy: str = ""
    exact: bool = False


class Part(NamedTuple):
    """A heading and its lines."""

    title: str
    entries: list[Entry]


class Found(Struct, frozen=True, kw_only=True):
    """What one read brought. `total`: how many tasks match, counted up to COUNTED + 1."""

    tasks: list[TaskRow] = []
    total: int = 0
    services: list[Service] = []
    above: Service | None = None
    """The service of the first task."""
    users: list[User] = []
    held: list[int] = []
    """How many tasks each of `users` holds."""
    groups: list[Group] = []
    group_sizes: list[int] = []
    events: list[Event] = []


class Asked(Struct, frozen=True):
    """What was typed: its words, and whether only commands, people or groups are wanted."""

    text: str
    only: Literal["", ">", "@", "#"]

    @property
    def words(self) -> list[str]:
        """What to find and to show bold."""
        return self.text.split()


def asked_of(q: str) -> Asked:
    """The field's text; a leading sign narrows it."""
    text = q.strip()
    for sign in (">", "@", "#"):
        if text.startswith(sign):
            return Asked(text[1:].strip(), sign)
    return Asked(text, "")


def marked(text: str, wanted: Sequence[str]) -> Parts:
    """The text in pieces, each with whether it is one of the words."""
    if not wanted:
        return [(text, False)]
    pattern = re.compile("|".join(re.escape(word) for word in sorted(wanted, key=len, reverse=True)), re.IGNORECASE)
    pieces, end = [], 0
    for hit in pattern.finditer(text):
        pieces += [(text[end : hit.start()], False), (hit.group(), True)]
        end = hit.end()
    return [(piece, is_hit) for piece, is_hit in [*pieces, (text[end:], False)] if piece]


def listed(view: View, asked: Asked, found: Found) -> list[Part]:
    """The groups that have lines, in their order."""
    texts, top = view.texts, found.tasks[0] if found.tasks else None
    parts = [
        Part(_counted(texts("Tasks"), found.total), [_task(view, asked, row) for row in found.tasks]),
        Part(texts("For %(id)s", id=top.task.id) if top else "", _acts(view, top.task) if top else []),
        Part(texts("Services"), [_service(asked, service) for service in found.services]),
        Part(texts("People"), [_user(view, asked, *each) for each in zip(found.users, found.held, strict=True)]),
        Part(texts("Groups"), [_group(asked, *each) for each in zip(found.groups, found.group_sizes, strict=True)]),
        Part(texts("History"), _history(view, asked, found)),
        Part(texts("Go to"), _places(view, asked, found)),
        Part(texts("Commands"), _commands(view, asked)),
    ]
    most = None if asked.only == ">" else MOST
    return [Part(title, entries[:most]) for title, entries in parts if entries]


def _counted(title: str, n: int) -> str:
    return f"{title} · {n if n <= COUNTED else f'{COUNTED}+'}"


def _task(view: View, asked: Asked, row: TaskRow) -> Entry:
    task, status = row.task, words.status(row.task.status, stale=row.stale)
    ill = words.word(words.STATES, row.liveness) if row.liveness and row.liveness != "up" else None
    return Entry(
        icon=status.icon,
        tone=status.tone,
        code=marked(task.id, asked.words),
        parts=marked(task.name, asked.words),
        note=task.user or view.texts("Unowned"),
        note_tone="mu" if task.user else "er",
        end=task.service_id,
        end_word=ill,
        href=links.task(task.id),
        exact=task.id == asked.text,
    )


def _acts(view: View, task: Task) -> list[Entry]:
    texts, actor, fields = view.texts, view.actor, {"id": task.id, "version": str(task.version)}
    if actor is None:
        return []
    assign = links.with_query("/tasks/assign", [("ids", task.id), ("next", links.task(task.id))])
    pinned = {**fields, "pinned": "no" if task.pinned else "yes"}
    known: tuple[tuple[bool, str, str, str, dict[str, Any]], ...] = (
        (not task.user and roles.may(actor, "claim", task), "user", texts("Claim"), "C", {"post": "/tasks/claim"}),
        (bool(task.user) and roles.may(actor, "release", task), "left", texts("Release"), "R", {"post": "/tasks/release"}),
        (roles.may(actor, "assign", task), "right", texts("Assign…"), "A", {"href": assign}),
        (roles.may(actor, "pin", task), "pin", texts("Unpin") if task.pinned else texts("Pin"), "P", {"post": "/tasks/pin"}),
        (True, "copy", texts("Copy id"), "Y", {"copy": task.id}),
    )
    return [
        Entry(icon=icon, parts=[(text, False)], key=key, fields=pinned if icon == "pin" else fields, **does)
        for may, icon, text, key, does in known
        if may
    ]


def _service(asked: Asked, service: Service) -> Entry:
    word = words.word(words.STATES, service.state)
    return Entry(
        icon="pulse",
        parts=marked(service.name or service.id, asked.words),
        code=marked(service.id, asked.words),
        end_word=word,
        href=links.service(service.id),
        exact=service.id == asked.text,
    )


def _user(view: View, asked: Asked, user: User, held: int) -> Entry:
    is_away = user.away_until is not None and user.away_until > view.now
    absence = view.texts("disabled") if user.disabled else view.texts("away") if is_away else ""
    return Entry(
        icon="user",
        parts=marked(user.name, asked.words),
        note=absence or ", ".join(user.groups),
        note_tone="wa" if absence else "mu",
        end=view.texts.plural("%(n)s task", "%(n)s tasks", held),
        href=links.with_query("/tasks", [("user", user.name)]),
    )


def _group(asked: Asked, group: Group, size: int) -> Entry:
    return Entry(
        icon="grid",
        parts=marked(group.id, asked.words),
        note=group.name if group.name != group.id else "",
        end=f"{size:,}",
        href=links.with_query("/tasks", [("group", group.id)]),
    )


def _history(view: View, asked: Asked, found: Found) -> list[Entry]:
    if not found.tasks:
        return []
    task = found.tasks[0].task
    return [
        Entry(
            icon=line.word.icon,
            tone=line.word.tone,
            parts=marked(task.name or task.id, asked.words),
            note=" ".join(filter(None, (view.texts(line.word.text), *(f"{c.before} → {c.after}" for c in line.changes[:1])))),
            end=" · ".join(filter(None, (line.actor_id if line.person else "", times.short(line.at, view.now, view.zone)))),
            href=links.history("task", task.id),
        )
        for line in lines(view.texts, found.events, view.zone)
    ]


def _places(view: View, asked: Asked, found: Found) -> list[Entry]:
    texts, entries = view.texts, list[Entry]()
    if asked.text and not asked.only:
        href, n = links.with_query("/tasks", [("q", asked.text)]), found.total
        said = texts("Search the tasks for “%(text)s”", text=asked.text)
        entries.append(Entry(icon="search", parts=[(said, False)], end=f"{n if n <= COUNTED else f'{COUNTED}+'}", href=href))
    if found.above is not None and all(found.above.id != service.id for service in found.services):
        entries.append(_service(asked, found.above))
    if asked.only in {"", ">"}:
        named = [(href, texts(text), icon, key) for href, text, icon, key in _PLACES]
        entries += [
            Entry(icon=icon, parts=marked(said, asked.words), key=key, href=href)
            for href, said, icon, key in named
            if _holds(said, asked)
        ]
    return entries


def _commands(view: View, asked: Asked) -> list[Entry]:
    """Only where they are asked for by `>`."""
    if asked.only != ">":
        return []
    texts = view.texts
    known = [(texts("Theme: %(name)s", name=texts(name)), {"theme": code}) for code, name in THEMES]
    known += [(texts("Language: %(name)s", name=name), {"language": code}) for code, name in LANGUAGES.items()]
    found = [
        Entry(icon="right", parts=marked(said, asked.words), post="/ui/preferences", fields=fields)
        for said, fields in known
        if _holds(said, asked)
    ]
    out = texts("Sign out")
    return [*found, *([Entry(icon="left", parts=marked(out, asked.words), post="/logout")] if _holds(out, asked) else [])]


def _holds(said: str, asked: Asked) -> bool:
    return all(word.casefold() in said.casefold() for word in asked.words)

"""A task as a row, and as a page's sentences. Pure: records in, words out. UI 6 (Board, Task)."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Task
from taskdash.rules import roles
from taskdash.rules.risk import Reason
from taskdash.web.pages import links, times, words
from taskdash.web.pages.render import View
from taskdash.web.pages.words import Word


class Said(NamedTuple):
    """One reason in words, in its colour."""

    tone: str
    text: str
    since: Instant | None = None


class RowView(Struct, frozen=True, kw_only=True):
    """What the board and the page of a task show of it."""

    id: str
    href: str
    name: str
    url: str
    description: str
    reserved: str
    status: Word
    user: str
    group_id: str
    service_id: str
    service_href: str
    service_word: Word | None
    start_time: str
    stop_time: str
    why: list[Said]
    why_text: str
    version: int
    pinned: bool
    until: Instant | None
    created_at: Instant
    updated_at: Instant
    status_at: Instant
    stale: bool
    gone: bool
    at_risk: bool
    may_claim: bool
    may_release: bool
    section: str = ""
    unmatched: bool = False
    """It is shown, but the filters do not want it any more (UI 6, row marks)."""


def row_view(view: View, task: Task, liveness: str | None, *, stale: bool, why: Sequence[Reason]) -> RowView:
    """The row of one task. `liveness`: the state of its service; `why`: what puts it at risk."""
    said = [_said(view, reason) for reason in _telling(why)]
    return RowView(
        id=task.id,
        href=links.task(task.id, links.list_of(view.here)),
        name=task.name,
        url=task.url,
        description=task.description,
        reserved=task.reserved,
        status=words.status(task.status, stale=stale),
        user=task.user,
        group_id=task.group_id,
        service_id=task.service_id,
        service_href=links.service(task.service_id) if task.service_id else "",
        service_word=words.word(words.STATES, liveness) if liveness and liveness != "up" else None,
        start_time=task.start_time,
        stop_time=task.stop_time,
        why=said,
        why_text=" · ".join(_with_span(view, each) for each in said),
        version=task.version,
        pinned=task.pinned,
        until=task.until,
        created_at=task.created_at,
        updated_at=task.updated_at,
        status_at=task.status_at,
        stale=stale,
        gone=task.gone_at is not None,
        at_risk=bool(why),
        may_claim=not task.user and _may(view, "claim", task),
        may_release=bool(task.user) and _may(view, "release", task),
    )


def _telling(why: Sequence[Reason]) -> list[Reason]:
    """A stale task of a service that is down says it once: the state of the service stands beside it."""
    is_stale = any(each.reason == "stale" for each in why)
    return [each for each in why if not (is_stale and each.reason in {"down", "unknown"})]


def _may(view: View, action: roles.Action, task: Task) -> bool:
    return view.actor is not None and roles.may(view.actor, action, task)


def _said(view: View, reason: Reason) -> Said:
    word = words.word(words.REASONS, reason.reason)
    return Said(word.tone, view.texts(word.text), reason.since)


def _with_span(view: View, said: Said) -> str:
    return said.text if said.since is None else f"{said.text} {times.span(view.texts, said.since, view.now)}"

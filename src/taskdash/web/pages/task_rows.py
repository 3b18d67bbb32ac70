"""A task as a row, and as a page's sentences. Pure: records in, words out. UI 6 (Board, Task)."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Task
from taskdash.rules import roles
from taskdash.rules.risk import Reason
from taskdash.store.task_page import TaskRow
from taskdash.web.pages import links, times, words
from taskdash.web.pages.render import View
from taskdash.web.pages.words import Word

_CLOCK_TIME = len("HH:MM")


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
    may_assign: bool = False
    may_pin: bool = False
    unowned_since: Instant | None = None
    absent: str = ""
    """Why the owner does not look after it: `away`, `disabled`."""
    flapping: bool = False
    unmatched: bool = False
    """It is shown, but the filters do not want it any more (UI 6, row marks)."""


def row_view(
    view: View, task: Task, liveness: str | None, *, stale: bool, why: Sequence[Reason], flapping: bool = False
) -> RowView:
    """The row of one task. `liveness`: the state of its service; `why`: what puts it at risk."""
    said = [_said(view, reason, task) for reason in _telling(why)]
    free_since = None if task.user else task.user_since or task.created_at
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
        why_text=" · ".join([*(_with_span(view, each) for each in said), *_unowned(view, free_since)]),
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
        may_assign=_may(view, "assign", task),
        may_pin=_may(view, "pin", task),
        unowned_since=free_since,
        absent=next((each.reason for each in why if each.reason in {"away", "disabled"}), ""),
        flapping=flapping,
    )


def of_list(view: View, row: TaskRow) -> RowView:
    """The row of one task of the list."""
    return row_view(view, row.task, row.liveness, stale=row.stale, why=row.why, flapping=row.flapping)


_WEIGHT = ("failed", "should_run", "stale", "down", "unknown", "disabled", "away", "late")


def _telling(why: Sequence[Reason]) -> list[Reason]:
    """The gravest first. What the state of the service beside it says already is not said again: down and unknown of a
    stale task, late when anything else is wrong."""
    words_ = {each.reason for each in why}
    said = {"down", "unknown"} if "stale" in words_ else set()
    if len(words_) > 1:
        said.add("late")
    return sorted((each for each in why if each.reason not in said), key=lambda each: _WEIGHT.index(each.reason))


def _may(view: View, action: roles.Action, task: Task) -> bool:
    return view.actor is not None and roles.may(view.actor, action, task)


def _said(view: View, reason: Reason, task: Task) -> Said:
    word = words.word(words.REASONS, reason.reason)
    if reason.reason == "should_run" and len(task.start_time) == _CLOCK_TIME:
        return Said(word.tone, view.texts("should run since %(time)s", time=task.start_time))
    return Said(word.tone, view.texts(word.text), None if reason.reason == "late" else reason.since)


def _unowned(view: View, since: Instant | None) -> list[str]:
    return [] if since is None else [view.texts("unowned %(time)s", time=times.span(view.texts, since, view.now))]


def _with_span(view: View, said: Said) -> str:
    return said.text if said.since is None else f"{said.text} {times.span(view.texts, said.since, view.now)}"

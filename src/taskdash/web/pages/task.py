"""The page of one task: what is wrong with it, whose it is, what happened. UI 6 (Task)."""

import json
from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from taskdash.model.records import Event, Service, Task
from taskdash.rules import roles
from taskdash.rules.risk import ILL
from taskdash.store import events, services, task_page
from taskdash.store.task_page import TaskRow
from taskdash.web.api import one_task
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, times
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.lines import lines
from taskdash.web.pages.render import View
from taskdash.web.pages.service_rows import service_row
from taskdash.web.pages.task_rows import RowView, row_view
from taskdash.web.pages.texts import Texts
from taskdash.web.paths import opened

_LINES = 20


@page_get("/tasks/{task_id:str}", opt={"action": "see"})
async def task(request: HtmlRequest, web: Web, identity: Identity, task_id: str) -> Html:
    """One task."""
    wanted, view, actor = opened(task_id), await view_of(request, web, identity), identity.actor

    def read(conn: Connection) -> tuple[TaskRow, Service | None, list[Event]]:
        found = one_task.find(conn, wanted, actor, web.visibility)
        row = task_page.rows_of(conn, [found], view.now)[0]
        owner = services.load(conn, found.service_id) if found.service_id else None
        return row, owner, events.page(conn, subject=("task", found.id), limit=_LINES)

    row, owner, history = await web.db.read(read)
    return html(request, view, "task.html", _values(view, row, owner, history))


def _values(view: View, row: TaskRow, owner: Service | None, history: list[Event]) -> dict[str, Any]:
    known, texts = row.task, view.texts
    shown = row_view(view, known, row.liveness, stale=row.stale, why=row.why)
    schedule_text, schedule_tone = _schedule(texts, known)
    return {
        "row": shown,
        "last_known": texts(" (last known)") if row.stale else "",
        "stale_text": _stale(view, row),
        "trouble": _trouble(texts, row, shown, owner),
        "service": service_row(view, owner) if owner else None,
        "events": lines(texts, history, view.zone),
        "history_href": links.history("task", known.id),
        "user_since": known.user_since,
        "may_assign": _may(view, "assign", known),
        "may_pin": _may(view, "pin", known),
        "schedule_text": schedule_text,
        "schedule_tone": schedule_tone,
        "reserved": pretty(known.reserved),
    }


def _may(view: View, action: roles.Action, task: Task) -> bool:
    return view.actor is not None and roles.may(view.actor, action, task)


def _stale(view: View, row: TaskRow) -> str:
    since = next((each.since for each in row.why if each.reason == "stale"), None)
    stale = view.texts("stale")
    return stale if since is None else f"{stale} {times.span(view.texts, since, view.now)}"


def _schedule(texts: Texts, task: Task) -> tuple[str, str]:
    """(text, tone) of what its window says now."""
    if task.schedule == "should_run":
        return texts("should run now"), "er"
    return (texts("should have stopped"), "wa") if task.schedule == "should_stop" else ("", "")


def _trouble(texts: Texts, row: TaskRow, shown: RowView, owner: Service | None) -> dict[str, str] | None:
    """The sentence card: what is wrong, and the evidence of its service."""
    if not row.why:
        return None
    reasons = [each.reason for each in row.why]
    unowned = not row.task.user
    evidence = texts.told(owner.evidence) if owner and owner.state in ILL else ""
    cls = "bad" if any(said.tone == "er" for said in shown.why) else "watch"
    return {"cls": cls, "sentence": _sentence(texts, reasons, unowned=unowned), "evidence": evidence}


def _sentence(texts: Texts, reasons: list[Any], *, unowned: bool) -> str:
    if "failed" in reasons:
        return texts("It failed, and nobody holds it") if unowned else texts("It failed")
    if "should_run" in reasons:
        return texts("It should run now, and does not")
    if "stale" in reasons:
        both = texts("Nobody holds it, and its present state cannot be seen")
        return both if unowned else texts("Its present state cannot be seen")
    if "late" in reasons:
        return texts("Its service is late, but its url still answers")
    return texts("Whoever holds it is away")


def pretty(reserved: str) -> str:
    """JSON laid out over lines; any other text as it is."""
    try:
        found = json.loads(reserved)
    except (ValueError, RecursionError):
        return reserved
    return json.dumps(found, ensure_ascii=False, indent=2) if isinstance(found, dict | list) else reserved


ROUTES: list[HTTPRouteHandler] = [task]

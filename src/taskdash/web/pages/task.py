"""The page of one task: what is wrong with it, whose it is, its day, what happened. UI 6 (Task)."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, Event, Service, Task
from taskdash.rules import roles
from taskdash.rules.roles import Visibility
from taskdash.store import events, loads, services, state_history, task_page, task_story
from taskdash.store.loads import Load
from taskdash.store.state_history import StateChange
from taskdash.store.task_page import TaskRow
from taskdash.web.api import one_task
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import day_track, links, load, task_day, timeline, times, words
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.lines import Line, lines
from taskdash.web.pages.render import View
from taskdash.web.pages.service_charts import half_hour
from taskdash.web.pages.service_rows import service_row
from taskdash.web.pages.task_place import Place, place_of
from taskdash.web.pages.task_rows import row_view
from taskdash.web.pages.task_trouble import trouble_of
from taskdash.web.paths import opened

_LINES, _ON_DUTY = 20, 8
_URI_SAFE = "!~*'()"


class _Known(Struct, frozen=True, kw_only=True):
    """All that one read brings."""

    row: TaskRow
    service: Service | None
    history: list[Event]
    statuses: list[Event]
    owned: Event | None
    states: list[StateChange]
    duty: list[Load]
    place: Place | None


@page_get("/tasks/{task_id:str}", opt={"action": "see"})
async def task(request: HtmlRequest, web: Web, identity: Identity, task_id: str) -> Html:
    """One task."""
    wanted, view, actor = opened(task_id), await view_of(request, web, identity), identity.actor
    came_from = request.query_params.get("from", "")
    known = await web.db.read(lambda conn: _read(conn, view, actor, web.visibility, wanted, came_from))
    return html(request, view, "task.html", _values(view, known, sees_all=roles.sees_everything(actor, web.visibility)))


def _read(conn: Connection, view: View, actor: Actor, visibility: Visibility, task_id: str, came_from: str) -> _Known:
    found = one_task.find(conn, task_id, actor, visibility)
    service = services.load(conn, found.service_id) if found.service_id else None
    return _Known(
        row=task_page.rows_of(conn, [found], view.now)[0],
        service=service,
        states=_states(conn, view, service) if service else [],
        history=events.page(conn, subject=("task", found.id), limit=_LINES),
        statuses=task_story.of_status(conn, found.id, day_track.day_of(view.now, view.zone)[0]),
        owned=task_story.last_of_owner(conn, found.id),
        duty=loads.on_duty(conn, view.now, found.group_id, _ON_DUTY) if found.group_id else [],
        place=place_of(conn, view, actor, visibility, found.id, came_from),
    )


def _values(view: View, known: _Known, *, sees_all: bool) -> dict[str, Any]:
    row, service, texts, found = known.row, known.service, view.texts, known.row.task
    shown = row_view(view, found, row.liveness, stale=row.stale, why=row.why)
    stale_since = _stale_since(row, service)
    seen_at = task_day.minute(view, task_day.known_at(found, service))
    return {
        "row": shown,
        "last_known": texts(" (%(time)s last known)", time=seen_at) if row.stale else "",
        "stale_text": f"{texts('stale')} {times.span(texts, stale_since, view.now)}" if stale_since else texts("stale"),
        "trouble": trouble_of(view, row, shown.why, service),
        "day": task_day.day_of(view, found, service, known.statuses, stale_since=stale_since),
        "service": service_row(view, service) if service else None,
        **(half_hour(view, service, known.states) if service else {}),
        "events": _lines(view, known.history),
        "history_href": links.history("task", found.id),
        "place": known.place,
        "duty": load.on_duty(known.duty, linked=sees_all),
        "collected_at": service.collected_at if service else None,
        "subjects": _subjects(found),
        "reserved": pretty(found.reserved),
        **_ownership(view, found, known.owned),
    }


def _ownership(view: View, found: Task, owned: Event | None) -> dict[str, Any]:
    before = str(owned.before.get("user") or "") if owned else ""
    word = words.word(words.KINDS, owned.kind) if owned else None
    return {
        "user_since": found.user_since if found.user else None,
        "unowned_since": found.user_since or (owned.at if owned else found.created_at),
        "before": before if before != found.user else "",
        "before_how": view.texts(word.text) if word else "",
        "before_at": owned.at if owned else None,
        "until_left": times.alarming(view.texts, view.now, found.until) if found.until and found.until > view.now else "",
        "may_assign": _may(view, "assign", found),
        "may_pin": _may(view, "pin", found),
    }


def _may(view: View, action: roles.Action, found: Task) -> bool:
    return view.actor is not None and roles.may(view.actor, action, found)


def _stale_since(row: TaskRow, service: Service | None) -> Instant | None:
    """Since when nobody can see it; where nobody wrote that down, since its status was last known."""
    if not row.stale:
        return None
    told = next((each.since for each in row.why if each.reason == "stale"), None)
    return told if told is not None else task_day.known_at(row.task, service)


def _states(conn: Connection, view: View, service: Service) -> list[StateChange]:
    """The changes of the service's state that its last half hour shows."""
    return state_history.changes(conn, service.id, view.now - seconds(timeline.window_of(service)[0]))


def _lines(view: View, history: Sequence[Event]) -> list[Line]:
    """The lines of history; a change of the binding says its versions."""
    return [
        _with_version(view, line, event) for line, event in zip(lines(view.texts, history, view.zone), history, strict=True)
    ]


def _with_version(view: View, line: Line, event: Event) -> Line:
    before, after = event.before.get("version"), event.after.get("version")
    if before is None or after is None:
        return line
    return line._replace(by=f"{line.by} · {view.texts('version %(before)s → %(after)s', before=before, after=after)}")


def _subjects(found: Task) -> str:
    """What the page's script listens to (`data-live`), as encodeURIComponent writes ids."""
    told = [("task", found.id), *([("service", found.service_id)] if found.service_id else [])]
    return " ".join(f"{kind}:{quote(key, safe=_URI_SAFE)}" for kind, key in told)


def pretty(reserved: str) -> str:
    """JSON laid out over lines; any other text as it is."""
    try:
        found = json.loads(reserved)
    except (ValueError, RecursionError):
        return reserved
    return json.dumps(found, ensure_ascii=False, indent=2) if isinstance(found, dict | list) else reserved


ROUTES: list[HTTPRouteHandler] = [task]

"""History: everything that happened, newest first, by filters that are an address. UI 6 (History).

A text first finds the tasks and services that bear it (by the index of the task list), whose history is read by its own index.
Beside them come the events whose evidence holds it, of the newest ones only: nothing indexes the sentences of millions.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import BadField, TaskDashError
from taskdash.model.instants import Instant, from_datetime, nearest, seconds, to_datetime
from taskdash.model.records import Actor, Event
from taskdash.rules.roles import Visibility
from taskdash.store import events as stored
from taskdash.store import service_page, task_page
from taskdash.store.service_page import ServiceFilters
from taskdash.store.task_filters import Filters
from taskdash.web.api import events
from taskdash.web.api.events import SUBJECT_TYPES, Bearing, EventFilters, Place
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import activity, links, times, words
from taskdash.web.pages.activity import Names
from taskdash.web.pages.frame import Html, HtmlRequest, html, page_get, view_of
from taskdash.web.pages.lines import CHANNELS, lines
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.query import Query
from taskdash.web.visible import visible_to

PATH = "/history"
FILTERS = ("q", "time", "from", "to", "subject", "kind", "actor", "channel", "since", "until")
LIMITS = (50, 100, 200)
MOST_FOUND = 25
"""So many tasks and so many services of a text are followed."""
TIMES = (
    ("", mark("any time")),
    ("1h", mark("last hour")),
    ("today", mark("today")),
    ("24h", mark("last 24 hours")),
    ("7d", mark("last 7 days")),
)
_BACK_S = {"1h": 3_600.0, "24h": 86_400.0, "7d": 7 * 86_400.0}


class Asked(Struct, frozen=True, kw_only=True):
    """What of the history is wanted. `text`: still to be looked up in the store."""

    filters: EventFilters
    text: str
    place: Place
    limit: int


class Found(Struct, frozen=True):
    """One page. `cut`: the text finds more tasks or services than are followed. `old`: there is evidence beyond the newest."""

    events: list[Event]
    following: str | None
    called: Names
    cut: bool
    old: bool


def asked_of(query: Query, now: Instant, zone: tzinfo) -> Asked:
    """From the address. Raises BadField, BadCursor."""
    filters = events.filters_of(query)
    since, until = _times(query, now, zone)
    filters = structs.replace(filters, since=filters.since or since, until=filters.until or until)
    return Asked(filters=filters, text=query.text("q").strip(), place=events.place_of(query), limit=query.limit())


def _times(query: Query, now: Instant, zone: tzinfo) -> tuple[Instant | None, Instant | None]:
    began, ended = (_local(query.one(name), name, zone) for name in ("from", "to"))
    if began is not None or ended is not None:
        return began, ended
    choice = query.choice("time", [value for value, _text in TIMES], "")
    if choice == "today":
        day = to_datetime(now).astimezone(zone).date()
        return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone)), None
    return (now - seconds(_BACK_S[choice]) if choice else None), None


def _local(text: str, name: str, zone: tzinfo) -> Instant | None:
    try:
        return nearest(from_datetime(datetime.fromisoformat(text).replace(tzinfo=zone))) if text else None
    except (ValueError, OverflowError):
        raise BadField(f"{name} must be a date and a time such as 2026-01-02T18:00", field=name) from None


def resolved(
    conn: Connection, asked: Asked, actor: Actor, visibility: Visibility, now: Instant, texts: Texts
) -> tuple[EventFilters, bool]:
    """The filters with the subjects that a text names, and whether it names more than are followed.

    Evidence is stored in English: it is also sought for what it holds where the reader reads this text.
    """
    if not asked.text:
        return asked.filters, False
    kind, colon, key = asked.text.partition(":")
    if colon and kind in SUBJECT_TYPES:
        return structs.replace(asked.filters, subjects=((kind, key),)), False
    restriction = visible_to(actor, visibility)
    wanted = Filters(q=asked.text, visible_to=restriction)
    there, gone = (task_page.ids(conn, each, now, MOST_FOUND + 1) for each in (wanted, structs.replace(wanted, gone=True)))
    shown, archived = (
        _services(conn, ServiceFilters(q=asked.text, archived=old, visible_to=restriction)) for old in (False, True)
    )
    tasks, services = [*there, *gone], [*shown, *archived]
    subjects = [*((each, asked.text) for each in SUBJECT_TYPES), *_as("task", tasks), *_as("service", services)]
    evidence = (tuple(asked.text.split()), *((part,) for part in texts.stored(asked.text)))
    narrowed = structs.replace(asked.filters, bearing=Bearing(tuple(dict.fromkeys(subjects)), evidence))
    return narrowed, max(len(tasks), len(services)) > MOST_FOUND


def _services(conn: Connection, wanted: ServiceFilters) -> list[str]:
    return [service.id for service in service_page.page(conn, wanted, MOST_FOUND + 1).services]


def _as(kind: str, ids: Iterable[str]) -> list[tuple[str, str]]:
    return [(kind, key) for key in list(ids)[:MOST_FOUND]]


@page_get(PATH, opt={"action": "see"})
async def history(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The events that the filters find."""
    view, actor = await view_of(request, web, identity), identity.actor
    pairs = links.pairs_of(request.scope["query_string"])
    error = ""
    try:
        asked = asked_of(Query.of_pairs(pairs), view.now, web.zone)
    except TaskDashError as wrong:
        error, pairs = view.texts.told(wrong.detail), []
        asked = asked_of(Query({}), view.now, web.zone)
    found = await web.db.read(lambda conn: _read(conn, asked, actor, web, view))
    return html(request, view, "history.html", _values(view, pairs, asked, found) | {"error": error}, 422 if error else 200)


def _read(conn: Connection, asked: Asked, actor: Actor, web: Web, view: View) -> Found:
    filters, cut = resolved(conn, asked, actor, web.visibility, view.now, view.texts)
    shown, following = events.page(conn, filters, asked.place, asked.limit, actor, web.visibility)
    is_old = filters.bearing is not None and _has_older_evidence(conn)
    return Found(shown, following, activity.names(conn, shown), cut, is_old)


def _has_older_evidence(conn: Connection) -> bool:
    oldest, newest = stored.bounds(conn)
    return newest - oldest >= stored.EVIDENCE_WITHIN


def _values(view: View, pairs: Pairs, asked: Asked, found: Found) -> dict[str, Any]:
    known, today = dict(pairs), times.day(view.now, view.zone)
    is_first = "cursor" not in known
    filters = [pair for pair in pairs if pair[0] in FILTERS]
    return {
        "items": lines(view.texts, found.events, view.zone, today, found.called),
        "range": _range(view, found.events),
        "cut": _cut(view.texts, found),
        "held": is_first,
        "filtered": bool(filters),
        "limit": asked.limit,
        "limits": [(n, links.with_query(PATH, links.changed(pairs, "limit", str(n)))) for n in LIMITS],
        "exports": [(kind, links.with_query(f"{PATH}/export", [("format", kind), *filters])) for kind in ("csv", "jsonl")],
        "next_href": links.with_query(PATH, links.changed(pairs, "cursor", found.following)) if found.following else "",
        "first_href": "" if is_first else links.with_query(PATH, links.changed(pairs, "cursor", "")),
        "tokens": [_token(pairs, name) for name in ("subject", "since", "until") if name in known],
        **{name: known.get(name, "") for name in ("q", "time", "to", "kind", "actor", "channel")},
        "began": known.get("from", ""),
        **_choices(view),
    }


def _cut(texts: Texts, found: Found) -> str:
    """What a text may not have found."""
    told = []
    if found.cut:
        told.append(texts("Only the first %(n)s tasks and services that bear this text are followed.", n=MOST_FOUND))
    if found.old:
        told.append(texts("Evidence is sought in the newest %(n)s events only.", n=f"{stored.EVIDENCE_WITHIN:,}"))
    return " ".join(told)


def _range(view: View, shown: list[Event]) -> str:
    """From when to when the page reaches."""
    if not shown:
        return ""
    oldest, newest = (times.short(event.at, view.now, view.zone) for event in (shown[-1], shown[0]))
    return view.texts("%(oldest)s to %(newest)s, newest first", oldest=oldest, newest=newest)


def _token(pairs: Pairs, name: str) -> dict[str, str]:
    value = dict(pairs)[name]
    return {
        "name": name,
        "value": value,
        "text": f"{name}:{value}",
        "href": links.with_query(PATH, links.changed(pairs, name, "")),
    }


def _choices(view: View) -> dict[str, Any]:
    texts = view.texts
    kinds: dict[str, list[tuple[str, str]]] = {}
    for kind, word in words.KINDS.items():
        kinds.setdefault(kind.partition(".")[0], []).append((kind, texts(word.text)))
    return {
        "kinds": [(texts(text), f"{noun}.*", kinds.get(noun, [])) for noun, text in words.SUBJECTS.items() if noun in kinds],
        "channels": [("", texts("All channels")), *((key, texts(text)) for key, text in CHANNELS.items())],
        "times": [(value, texts(text)) for value, text in TIMES],
    }


ROUTES: list[HTTPRouteHandler] = [history]

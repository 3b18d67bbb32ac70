"""Services, worst first; each number the rows behind its link; and who beats without having registered. UI 6 (Services)."""

from collections.abc import Mapping
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import TaskDashError
from taskdash.model.records import Actor, Sender
from taskdash.rules import roles
from taskdash.store import clash_problems, senders, service_page, service_tasks
from taskdash.store.service_page import ServiceFilters, ServicePage
from taskdash.store.service_tasks import TaskCount
from taskdash.web.api.services import after_of, filters_of, following
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, snippets, words
from taskdash.web.pages.choices import number
from taskdash.web.pages.frame import Html, HtmlRequest, go, html, page_get, view_of
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.pages.service_rows import ServiceRow, service_row
from taskdash.web.pages.snippets import Way
from taskdash.web.query import Query

PATH = "/services"
LIMITS = (50, 100, 200)
_SENDERS = 50
_SHOWN = ("down", "late", "unknown", "new", "paused", "left", "up")


class Seen(Struct, frozen=True):
    """What the page is made of. `counts`: services by state, `types`: by type, each under the other filters."""

    page: ServicePage
    counts: Mapping[str, int]
    types: Mapping[str, int]
    archived: int
    tasks: Mapping[str, TaskCount]
    clashes: Mapping[str, int]
    senders: list[Sender]


@page_get(PATH, opt={"action": "see"})
async def listed(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """All services."""
    view, actor = await view_of(request, web, identity), identity.actor
    pairs = links.pairs_of(request.scope["query_string"])
    query = Query.of_pairs(pairs)
    try:
        wanted, after, limit = filters_of(query, actor, web.visibility), after_of(query), query.limit()
    except TaskDashError:
        return go(request, PATH)
    seen = await web.db.read(lambda conn: _read(conn, view, actor, web, wanted, limit, after))
    return html(
        request, view, "services.html", _values(view, snippets.way_of(request, web), pairs, wanted, seen) | {"limit": limit}
    )


def _read(
    conn: Connection, view: View, actor: Actor, web: Web, wanted: ServiceFilters, limit: int, after: tuple[int, str] | None
) -> Seen:
    page = service_page.page(conn, wanted, limit, after)
    others = structs.replace(wanted, archived=not wanted.archived)
    clashing = clash_problems.of_services(conn, [service.id for service in page.services])
    return Seen(
        page,
        service_page.counts(conn, wanted),
        service_page.types(conn, wanted),
        _of_state(wanted, service_page.counts(conn, others)),
        service_tasks.of_services(conn, page.services, view.now, wanted.visible_to),
        {key: len(found) for key, found in clashing.items()},
        senders.page(conn, limit=_SENDERS + 1) if roles.sees_everything(actor, web.visibility) else [],
    )


def _of_state(wanted: ServiceFilters, counts: Mapping[str, int]) -> int:
    """How many of them are in the states that are wanted."""
    return sum(n for state, n in counts.items() if not wanted.state or state in wanted.state)


def _values(view: View, way: Way, pairs: Pairs, wanted: ServiceFilters, seen: Seen) -> dict[str, Any]:
    return {
        "total": number(_of_state(wanted, seen.counts)),
        "all_href": links.with_query(PATH, links.changed(pairs, "state", "")),
        "chips": [_chip(pairs, state, n) for state in _SHOWN if (n := seen.counts.get(state, 0)) or state in wanted.state],
        "types": [(kind, f"{kind} · {n}") for kind, n in seen.types.items()],
        "type": wanted.type[0] if wanted.type else "",
        "q": wanted.q,
        "kept": [pair for pair in pairs if pair[0] in {"state", "liveness", "archived"}],
        "filtered": bool(wanted.state or wanted.q or wanted.type),
        "archived_on": wanted.archived,
        "archived": number(seen.archived),
        "archived_href": links.with_query(PATH, links.toggled(pairs, "archived", "true")),
        "rows": _rows(view, seen),
        "first_href": links.with_query(PATH, links.changed(pairs, "cursor", "")) if dict(pairs).get("cursor") else "",
        "next_href": links.with_query(PATH, links.changed(pairs, "cursor", cursor)) if (cursor := following(seen.page)) else "",
        "limits": LIMITS,
        "senders": [_sender(view, way, sender) for sender in seen.senders[:_SENDERS]],
        "senders_text": f"{_SENDERS}+" if len(seen.senders) > _SENDERS else str(len(seen.senders)),
    }


def _rows(view: View, seen: Seen) -> list[ServiceRow]:
    return [service_row(view, one, seen.tasks.get(one.id), seen.clashes.get(one.id, 0)) for one in seen.page.services]


def _chip(pairs: Pairs, state: str, n: int) -> dict[str, Any]:
    href = links.with_query(PATH, links.toggled(pairs, "state", state))
    return {"href": href, "current": ("state", state) in pairs, "word": words.word(words.STATES, state), "count": n}


def _sender(view: View, way: Way, sender: Sender) -> dict[str, Any]:
    count = view.texts.plural("%(n)s beat", "%(n)s beats", sender.count)
    return {**structs.asdict(sender), "count_text": count, "line": snippets.register(way, sender.id, sender.id)}


ROUTES: list[HTTPRouteHandler] = [listed]

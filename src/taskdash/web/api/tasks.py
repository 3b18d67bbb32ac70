"""The task list, its facets, and one task. SPEC 6, 8."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct, UnsetType, structs
from sqlalchemy import Connection

from taskdash.errors import BadField
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.rules.roles import Visibility
from taskdash.store import facets, risk_order, task_page
from taskdash.store.facets import Facets
from taskdash.store.service_page import WORST_FIRST
from taskdash.store.task_filters import NONE, Filters
from taskdash.store.task_page import Page
from taskdash.web import cursor, shapes
from taskdash.web.api import one_task
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.query import Query
from taskdash.web.shapes import Tasks, TaskShape
from taskdash.web.visible import visible_to

JsonRequest = Request[Any, Any, Any]
Texts = str | list[str] | UnsetType
FILTERS = ("status", "service", "user", "group", "liveness", "q", "stale", "gone", "at_risk", "schedule")
LIST_QUERY = (*FILTERS, "sort", "limit", "cursor")
RISK, USUAL = "risk", "-updated_at"
SCHEDULES = ("ok", "should_run", "should_stop", NONE)


class TaskFilter(Struct):
    """The filters of GET /tasks as JSON; several texts of one name are alternatives."""

    status: Texts = UNSET
    service: Texts = UNSET
    user: Texts = UNSET
    group: Texts = UNSET
    liveness: Texts = UNSET
    schedule: Texts = UNSET
    q: str | UnsetType = UNSET
    stale: bool | UnsetType = UNSET
    gone: bool | UnsetType = UNSET
    at_risk: bool | UnsetType = UNSET

    def query(self) -> Query:
        """The same, as a query string would name it."""
        return Query.of_json(structs.asdict(self))


class TaskQuery(TaskFilter):
    """POST /tasks/query; `cursor` null: the first page."""

    sort: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    cursor: str | UnsetType | None = UNSET


_queries = msgspec.json.Decoder(TaskQuery)


def filters_of(query: Query, actor: Actor, visibility: Visibility) -> Filters:
    """The filters of SPEC 8 that the caller named, within what they may see. Raises BadField."""
    return Filters(
        status=query.several("status"),
        service=query.several("service"),
        user=tuple(actor.id if user == "me" else user for user in query.several("user")),
        group=query.several("group"),
        liveness=query.choices("liveness", (*WORST_FIRST, NONE)),
        schedule=query.choices("schedule", SCHEDULES),
        q=query.text("q"),
        stale=query.truth("stale"),
        at_risk=query.truth("at_risk"),
        gone=query.truth("gone") or False,
        visible_to=visible_to(actor, visibility),
    )


class Order(Struct, frozen=True):
    """How a list is sorted, and after which key its page begins."""

    sort: str
    after: cursor.Position | None = None

    def page(self, conn: Connection, wanted: Filters, limit: int, now: Instant) -> Page:
        """The rows of this page."""
        if self.sort == RISK:
            return risk_order.page(conn, wanted, limit, now, self.after)
        return task_page.page(conn, wanted, self.sort, limit, now, self.after)

    def following(self, page: Page) -> str | None:
        """The cursor of the next page."""
        return cursor.encode_or_none(f"tasks {self.sort}", page.next_key)


def order_of(query: Query, usual: str = USUAL) -> Order:
    """The order of SPEC 8 that was asked for. Raises BadField, BadCursor."""
    sort = query.one("sort") or usual
    if sort != RISK and sort not in task_page.SORTS:
        raise BadField(f"sort must be {RISK} or one of {', '.join(sorted(task_page.SORTS))}", field="sort")
    if not (text := query.one("cursor")):
        return Order(sort)
    kinds = risk_order.KINDS if sort == RISK else task_page.KINDS[sort]
    return Order(sort, cursor.decode(text, f"tasks {sort}", kinds))


async def _page(web: Web, actor: Actor, query: Query) -> Tasks:
    wanted, order, limit = filters_of(query, actor, web.visibility), order_of(query), query.limit()
    now = web.clock.now()

    def read(conn: Connection) -> Tasks:
        page = order.page(conn, wanted, limit, now)
        return Tasks([shapes.task(row) for row in page.rows], order.following(page))

    return await web.db.read(read)


@get("/api/v1/tasks", opt={"action": "see", "query": LIST_QUERY})
async def listed(request: JsonRequest, web: Web, actor: Actor) -> Tasks:
    """Tasks by filters and sort; several values of one filter are alternatives."""
    return await _page(web, actor, Query.of_pairs(request.query_params.multi_items()))


@post("/api/v1/tasks/query", opt={"action": "see", "body": TaskQuery}, status_code=200)
async def queried(request: JsonRequest, web: Web, actor: Actor) -> Tasks:
    """The same as GET /tasks, with the same names as a JSON object."""
    body: TaskQuery = await body_of(request, _queries, optional=True)
    return await _page(web, actor, body.query())


@get("/api/v1/tasks/facets", opt={"action": "see", "query": FILTERS})
async def counted(request: JsonRequest, web: Web, actor: Actor) -> Facets:
    """Counts under the same filters, each facet without itself."""
    wanted = filters_of(Query.of_pairs(request.query_params.multi_items()), actor, web.visibility)
    now = web.clock.now()
    return await web.db.read(lambda conn: facets.facets(conn, wanted, now))


@get("/api/v1/tasks/{task_id:str}", opt={"action": "see"})
async def one(web: Web, actor: Actor, task_id: str) -> TaskShape:
    """One task."""
    wanted, now = opened(task_id), web.clock.now()
    return await web.db.read(lambda conn: one_task.shape(conn, one_task.find(conn, wanted, actor, web.visibility), now))


ROUTES: list[HTTPRouteHandler] = [listed, queried, counted, one]

"""Claim, release, assign, pin many tasks at once, and hand over. SPEC 6, 8. One result an id."""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct, UnsetType, field

from taskdash.actions import bulk
from taskdash.actions.bulk import BulkAction, Filtered, Item, Result
from taskdash.errors import BadField
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.rules.binding import Wish
from taskdash.store import task_page
from taskdash.web.api.claims import AssignBody, check_note, wish_of
from taskdash.web.api.tasks import TaskFilter, filters_of
from taskdash.web.context import Web
from taskdash.web.problems import body_of

JsonRequest = Request[Any, Any, Any]


class BulkBody(Struct):
    """POST /tasks/bulk: `items`, or `filter` (the names of GET /tasks) and the count that was `expected`."""

    action: BulkAction
    items: list[Item] | UnsetType = UNSET
    filter: TaskFilter | UnsetType = UNSET
    expected: int | UnsetType = UNSET
    user: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    until: str | UnsetType | None = UNSET
    pin: bool | UnsetType = UNSET
    note: str = ""


class HandoverBody(Struct):
    """POST /handover: `from` a person, or `filter` and `expected`."""

    to: str
    from_: str | UnsetType = field(name="from", default=UNSET)
    filter: TaskFilter | UnsetType = UNSET
    expected: int | UnsetType = UNSET
    note: str = ""


class BulkResult(Struct, frozen=True):
    """One id: `version` when it was done, else the status and sentence that one call for it would have had."""

    id: str
    ok: bool
    version: int | UnsetType = UNSET
    status: int | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    holder: dict[str, str | None] | UnsetType = UNSET


class Bulk(Struct, frozen=True):
    """Bulk (SPEC 8)."""

    results: list[BulkResult]
    done: int


_bulks = msgspec.json.Decoder(BulkBody)
_handovers = msgspec.json.Decoder(HandoverBody)


@post("/api/v1/tasks/bulk", opt={"action": "claim", "body": BulkBody}, status_code=200)
async def many(request: JsonRequest, web: Web, actor: Actor) -> Bulk:
    """One action on at most 1,000 tasks; a filter whose count is not `expected` is 409 and changes nothing."""
    body: BulkBody = await body_of(request, _bulks)
    now = web.clock.now()
    chosen = _items(body) if body.filter is UNSET else _filtered(web, actor, body.filter, body.expected, now)
    found = await bulk.bulk(web.db, actor, body.action, chosen, now, wish=_wish(body), visibility=web.visibility)
    return shown(found)


def _items(body: BulkBody) -> Sequence[Item]:
    if body.items is UNSET:
        raise BadField("items, or filter and expected, must say which tasks", field="items")
    return body.items


def _filtered(web: Web, actor: Actor, wanted: TaskFilter, expected: int | UnsetType, now: Instant) -> Filtered:
    if expected is UNSET or expected < 0:
        raise BadField("expected must be the count that you saw under this filter", field="expected")
    filters = filters_of(wanted.query(), actor, web.visibility)
    return Filtered(lambda conn, limit: task_page.ids(conn, filters, now, limit), expected)


def _wish(body: BulkBody) -> Wish:
    asked = AssignBody(user=body.user, group_id=body.group_id, until=body.until, pin=body.pin, note=body.note)
    return wish_of(asked)


@post("/api/v1/handover", opt={"action": "hand_over", "body": HandoverBody}, status_code=200)
async def handover(request: JsonRequest, web: Web, actor: Actor) -> Bulk:
    """Move all that a person holds, or a filter's result, to another, with a note in every task's history."""
    body: HandoverBody = await body_of(request, _handovers)
    now, note = web.clock.now(), check_note(body.note)
    chosen = _holder(actor, body) if body.filter is UNSET else _filtered(web, actor, body.filter, body.expected, now)
    return shown(await bulk.hand_over(web.db, actor, chosen, body.to, now, note=note, visibility=web.visibility))


def _holder(actor: Actor, body: HandoverBody) -> str:
    if body.from_ is UNSET or not body.from_:
        raise BadField("from, or filter and expected, must say which tasks", field="from")
    return actor.id if body.from_ == "me" else body.from_


def shown(found: Sequence[Result]) -> Bulk:
    """The results as SPEC 8 has them."""
    results = [_shown(result) for result in found]
    return Bulk(results, sum(result.ok for result in results))


def _shown(result: Result) -> BulkResult:
    error = result.error
    if error is None:
        return BulkResult(result.id, ok=True, version=UNSET if result.version is None else result.version)
    holder = error.extra.get("holder", UNSET)
    return BulkResult(result.id, ok=False, status=error.status, detail=error.detail, holder=holder)


ROUTES: list[HTTPRouteHandler] = [many, handover]

"""Claim, release and assign one task over HTTP; transfer and delete (admin). SPEC 6, 8."""

from typing import Any

import msgspec
from litestar import Request, delete, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Struct, UnsetType

from taskdash.actions import claims, tasks
from taskdash.model import fields
from taskdash.model.records import Actor, Task
from taskdash.rules.binding import Wish
from taskdash.web import kept
from taskdash.web.api import one_task
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.query import parse_instant
from taskdash.web.shapes import TaskShape

JsonRequest = Request[Any, Any, Any]


class ClaimBody(Struct):
    """POST /tasks/{id}/claim."""

    version: int | None = None
    until: str | None = None


class ReleaseBody(Struct):
    """POST /tasks/{id}/release."""

    version: int | None = None
    note: str = ""


class AssignBody(Struct):
    """POST /tasks/{id}/assign; what is left out stays."""

    user: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    version: int | None = None
    until: str | UnsetType | None = UNSET
    pin: bool | UnsetType = UNSET
    note: str = ""


class TransferBody(Struct):
    """POST /tasks/{id}/transfer."""

    service_id: str


_claims = msgspec.json.Decoder(ClaimBody)
_releases = msgspec.json.Decoder(ReleaseBody)
_assigns = msgspec.json.Decoder(AssignBody)
_transfers = msgspec.json.Decoder(TransferBody)


@post("/api/v1/tasks/{task_id:str}/claim", opt={"action": "claim", "body": ClaimBody}, status_code=200)
async def claim(request: JsonRequest, web: Web, actor: Actor, task_id: str) -> TaskShape:
    """Make a free task mine. Of any number of claims at one moment exactly one wins; 409 names the winner."""
    body: ClaimBody = await body_of(request, _claims, optional=True)
    now, until = web.clock.now(), parse_instant(body.until, "until")
    async with one_task.lost_shown(web):
        task = await claims.claim(
            web.db, actor, opened(task_id), now, seen=body.version, until=until, visibility=web.visibility
        )
    return await _answer(web, task)


@post("/api/v1/tasks/{task_id:str}/release", opt={"action": "release", "body": ReleaseBody}, status_code=200)
async def release(request: JsonRequest, web: Web, actor: Actor, task_id: str) -> TaskShape:
    """Clear the user, keep the group."""
    body: ReleaseBody = await body_of(request, _releases, optional=True)
    note, now = check_note(body.note), web.clock.now()
    async with one_task.lost_shown(web):
        task = await claims.release(
            web.db, actor, opened(task_id), now, seen=body.version, note=note, visibility=web.visibility
        )
    return await _answer(web, task)


@post("/api/v1/tasks/{task_id:str}/assign", opt={"action": "assign", "body": AssignBody}, status_code=200)
async def assign(request: JsonRequest, web: Web, actor: Actor, task_id: str) -> TaskShape:
    """Set user and group, each independently; needs the version that the caller saw."""
    body: AssignBody = await body_of(request, _assigns)
    wish, now = wish_of(body), web.clock.now()
    async with one_task.lost_shown(web):
        task = await claims.assign(web.db, actor, opened(task_id), wish, now, visibility=web.visibility)
    return await _answer(web, task)


@post("/api/v1/tasks/{task_id:str}/transfer", opt={"action": "transfer", "body": TransferBody}, status_code=200)
async def transfer(request: JsonRequest, web: Web, actor: Actor, task_id: str) -> TaskShape:
    """From now on the task belongs to that service."""
    body: TransferBody = await body_of(request, _transfers)
    return await _answer(web, await tasks.transfer(web.db, actor, opened(task_id), body.service_id, web.clock.now()))


@delete("/api/v1/tasks/{task_id:str}", opt={"action": "delete"}, status_code=204)
async def remove(web: Web, actor: Actor, task_id: str) -> None:
    """Remove the task for good; its history stays."""
    await tasks.delete(web.db, actor, opened(task_id), web.clock.now())


def wish_of(body: AssignBody) -> Wish:
    """What an assign asks for, its texts and times checked."""
    until = body.until if body.until is UNSET else parse_instant(body.until, "until")
    for name in ("user", "group_id"):
        if (value := getattr(body, name)) is not UNSET:
            fields.check_short(value, name)
    note = check_note(body.note)
    return Wish(user=body.user, group_id=body.group_id, until=until, pin=body.pin, note=note, seen=body.version)


def check_note(note: str) -> str:
    """A note for the history: up to 8,192 characters, as all long texts."""
    return fields.check_long(note, "note")


async def _answer(web: Web, task: Task) -> TaskShape:
    with kept.shown():
        return await web.db.read(lambda conn: one_task.shape(conn, task, web.clock.now()))


ROUTES: list[HTTPRouteHandler] = [claim, release, assign, transfer, remove]

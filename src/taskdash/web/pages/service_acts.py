"""What a lead does to a service: ask it now, mute, archive; and an admin gives it a task. UI 6 (Service); SPEC 3, 4."""

from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta, tzinfo

from litestar.handlers import HTTPRouteHandler

from taskdash.actions import liveness, tasks
from taskdash.errors import BadField, TaskDashError
from taskdash.model.instants import Instant, from_datetime, seconds, to_datetime
from taskdash.model.records import Actor
from taskdash.web import visible
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import sentences, times
from taskdash.web.pages.claiming import local_instant
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, page_post, view_of
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.texts import mark

Operation = Callable[[Actor, str, dict[str, str], View], Awaitable[str]]
ENDS = (
    ("30m", mark("30 minutes")),
    ("2h", mark("2 hours")),
    ("morning", mark("tomorrow 09:00")),
    ("", mark("until somebody unmutes it")),
    ("at", mark("another time")),
)
"""When a pause ends, by the value of the form."""
_AFTER_S = {"30m": 1_800.0, "2h": 7_200.0}
_MORNING = time(9)


def end_of(choice: str, text: str, now: Instant, zone: tzinfo) -> Instant | None:
    """The end that was chosen; None: until somebody ends it. `text`: the local time for `at`. Raises BadField."""
    if choice in _AFTER_S:
        return now + seconds(_AFTER_S[choice])
    if choice == "morning":
        tomorrow = to_datetime(now).astimezone(zone).date() + timedelta(days=1)
        return from_datetime(datetime.combine(tomorrow, _MORNING, tzinfo=zone))
    if choice == "at" and not text:
        raise BadField("until must say when, such as 2026-01-02T18:00", field="until")
    return local_instant(text, zone) if text else None


async def _operate(request: HtmlRequest, web: Web, identity: Identity, operation: Operation) -> Html:
    """Do it to the service named by the form, and say so on the page one came from."""
    fields = {name: values[0] for name, values in (await fields_of(request)).items()}
    view, actor = await view_of(request, web, identity), identity.actor
    back, wanted = fields.get("next", "/services"), fields.get("id", "")
    try:
        await web.db.read(lambda conn: visible.service(conn, wanted, actor, web.visibility))
        return go(request, back, Flash("ok", await operation(actor, wanted, fields, view)))
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))


@page_post("/services/collect", opt={"action": "collect"})
async def collect(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Ask its url now."""

    async def operation(_actor: Actor, wanted: str, _fields: dict[str, str], view: View) -> str:
        await web.collect_now([wanted])
        return view.texts("%(id)s was asked now", id=wanted)

    return await _operate(request, web, identity, operation)


@page_post("/services/pause", opt={"action": "pause"})
async def pause(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Mute it, with a reason and an end."""

    async def operation(actor: Actor, wanted: str, fields: dict[str, str], view: View) -> str:
        until = end_of(fields.get("end", ""), fields.get("until", ""), view.now, web.zone)
        await liveness.pause(web.db, actor, wanted, fields.get("reason", ""), until, view.now)
        ends = "" if until is None else view.texts("until %(time)s", time=times.short(until, view.now, view.zone))
        return " ".join([view.texts("%(id)s is muted", id=wanted), ends]).strip()

    return await _operate(request, web, identity, operation)


@page_post("/services/resume", opt={"action": "resume"})
async def resume(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """End the pause."""

    async def operation(actor: Actor, wanted: str, _fields: dict[str, str], view: View) -> str:
        await liveness.resume(web.db, actor, wanted, view.now, web.limits)
        return view.texts("%(id)s is judged again from now", id=wanted)

    return await _operate(request, web, identity, operation)


@page_post("/services/archive", opt={"action": "archive"})
async def archive(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Hide it until it is heard again."""

    async def operation(actor: Actor, wanted: str, _fields: dict[str, str], view: View) -> str:
        await liveness.archive(web.db, actor, wanted, view.now)
        return view.texts("%(id)s is archived; a beat or a registration brings it back", id=wanted)

    return await _operate(request, web, identity, operation)


@page_post("/services/transfer", opt={"action": "transfer"})
async def transfer(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Give a task that two services report to this one."""

    async def operation(actor: Actor, wanted: str, fields: dict[str, str], view: View) -> str:
        task = await tasks.transfer(web.db, actor, fields.get("task", ""), wanted, view.now)
        return view.texts("%(task)s belongs to %(id)s now", task=task.id, id=wanted)

    return await _operate(request, web, identity, operation)


ROUTES: list[HTTPRouteHandler] = [collect, pause, resume, archive, transfer]

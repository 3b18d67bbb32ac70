"""The end of one's shift: when all that one holds becomes free again. SPEC 6 (until); UI 6 (Mine)."""

from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET

from taskdash.actions import bulk
from taskdash.errors import BadField, TaskDashError
from taskdash.model.records import Actor
from taskdash.store import loads
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import ends, mine, sentences, task_day
from taskdash.web.pages.claiming import Fields, first
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.render import View

PATH = "/mine/shift"


@page_get(PATH, opt={"action": "claim"})
async def shift_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form that sets it."""
    view = await view_of(request, web, identity)
    return await _form(request, web, view, identity.actor, {}, "")


@page_post(PATH, opt={"action": "claim"})
async def set_shift(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Set it for all that the caller holds."""
    fields, view = await fields_of(request), await view_of(request, web, identity)
    try:
        until = ends.wished(view, fields)
        if until is UNSET:
            raise BadField("until must be a date and a time", field="until")
        results = await bulk.set_end(web.db, identity.actor, until, view.now, visibility=web.visibility)
    except TaskDashError as error:
        return await _form(request, web, view, identity.actor, fields, sentences.sentence(view, error))
    wrong = next((result.error for result in results if isinstance(result.error, BadField)), None)
    if wrong:
        return await _form(request, web, view, identity.actor, fields, sentences.sentence(view, wrong))
    done, plural = sum(result.error is None for result in results), view.texts.plural
    if until is None:
        said = plural("%(n)s task has no end now.", "%(n)s tasks have no end now.", done)
    else:
        at = task_day.clock(view, until)
        said = plural("%(n)s task ends at %(time)s now.", "%(n)s tasks end at %(time)s now.", done, time=at)
    return go(request, mine.PATH, sentences.of_many(view, said, results))


async def _form(request: HtmlRequest, web: Web, view: View, actor: Actor, fields: Fields, error: str) -> Html:
    held = await web.db.read(lambda conn: loads.held(conn, actor.id))
    plural = view.texts.plural
    values = {
        "error": error,
        "shift": mine.shift_of(view, held),
        "act": plural("Set it for %(n)s task", "Set it for %(n)s tasks", held.total),
        "holds": held.total > 0,
        "ends": ends.ends(view, keep=False),
        "end": first(fields, "end"),
        "until": first(fields, "until"),
    }
    return html(request, view, "shift.html", values, 422 if error else 200)


ROUTES: list[HTTPRouteHandler] = [shift_page, set_shift]

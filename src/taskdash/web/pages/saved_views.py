"""Forms of saved views: save the filters of this page under a name, update, share with a group, delete. UI 6 (Board)."""

from urllib.parse import parse_qsl

from litestar.handlers import HTTPRouteHandler

from taskdash.actions import views
from taskdash.errors import TaskDashError
from taskdash.web.api.views import ViewBody, checked, made
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import links, sentences
from taskdash.web.pages.choices import PATH
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, page_post, view_of
from taskdash.web.pages.render import Flash, View

_SAVES = {"action": "save_view"}
Fields = dict[str, list[str]]


async def _read(request: HtmlRequest, web: Web, identity: Identity) -> tuple[View, Fields, str]:
    fields = await fields_of(request)
    return await view_of(request, web, identity), fields, _one(fields, "next") or PATH


@page_post("/views/save", opt=_SAVES)
async def save(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Keep the filters of the page under a name; then that view is what is shown."""
    view, fields, back = await _read(request, web, identity)
    body = ViewBody(_one(fields, "name"), _one(fields, "query"), _one(fields, "group_id"))
    try:
        saved = made(body, identity.actor, view.now)
        await views.save(web.db, saved)
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    there = links.with_query(PATH, [*parse_qsl(saved.query), ("view", saved.id)])
    return go(request, there, Flash("ok", view.texts("Saved as %(name)s", name=saved.name)))


@page_post("/views/update", opt=_SAVES)
async def update(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The view asks for what this page asks for, from now on."""
    view, fields, back = await _read(request, web, identity)
    try:
        after = await views.change(web.db, identity.actor, _one(fields, "id"), query=checked(_one(fields, "query")))
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    return go(request, back, Flash("ok", view.texts("%(name)s now asks for this", name=after.name)))


@page_post("/views/share", opt=_SAVES)
async def share(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Share it with a group, or with nobody any more."""
    view, fields, back = await _read(request, web, identity)
    try:
        after = await views.change(web.db, identity.actor, _one(fields, "id"), group_id=_one(fields, "group_id"))
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    if after.group_id:
        said = view.texts("%(name)s is shared with the group %(group)s", name=after.name, group=after.group_id)
    else:
        said = view.texts("%(name)s is yours alone", name=after.name)
    return go(request, back, Flash("ok", said))


@page_post("/views/delete", opt=_SAVES)
async def delete(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Delete it for good."""
    view, fields, back = await _read(request, web, identity)
    try:
        gone = await views.remove(web.db, identity.actor, _one(fields, "id"))
    except TaskDashError as error:
        return go(request, back, Flash("er", sentences.sentence(view, error)))
    return go(request, back, Flash("ok", view.texts("%(name)s was deleted", name=gone.name)))


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


ROUTES: list[HTTPRouteHandler] = [save, update, share, delete]

"""Every setting, what it is now and where that came from; read-only, for admins. UI 6 (Admin); R159."""

import platform
from itertools import groupby
from typing import Any

from litestar.handlers import HTTPRouteHandler

from taskdash.settings.shown import Shown, lines
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import admin
from taskdash.web.pages.frame import Html, HtmlRequest, page_get, view_of
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import mark

_ENVIRONMENT = "environment "
_SECTIONS = {
    "": mark("In general"),
    "http": mark("Pages and API"),
    "tcp": mark("TCP interface"),
    "nsq": mark("NSQ messages"),
    "listen": mark("Who may connect"),
    "liveness": mark("When a service is late or down"),
    "collect": mark("Asking services for their tasks"),
    "tasks": mark("Stored tasks"),
    "events": mark("History"),
    "access": mark("Who sees what"),
    "incidents": mark("Incidents"),
}


@page_get(admin.SETTINGS, opt={"action": "see"})
async def settings(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """All settings, as `taskdash config show` has them."""
    admin.check_seen(identity.actor, "see_accounts")
    view = await view_of(request, web, identity)
    values: dict[str, Any] = {
        "settings": _sections(view, web.settings),
        "as_text": "\n".join(lines(web.settings)),
        "version": web.version,
        "python": platform.python_version(),
        "started_at": web.started_at,
    }
    return await admin.page(request, web, view, "admin_settings.html", values)


def _sections(view: View, settings: tuple[Shown, ...]) -> list[dict[str, Any]]:
    found = groupby(settings, key=lambda each: each.name.rpartition(".")[0])
    return [{"title": _SECTIONS.get(name, name), "rows": [_row(view, each) for each in those]} for name, those in found]


def _row(view: View, each: Shown) -> dict[str, Any]:
    texts = view.texts
    if each.origin == "default":
        origin = texts("default")
    elif each.origin.startswith(_ENVIRONMENT):
        origin = texts("environment %(name)s", name=each.origin.removeprefix(_ENVIRONMENT))
    else:
        origin = texts("command line") if each.origin == "command line" else each.origin
    return {"shown": each, "origin": origin, "default": each.origin == "default", "meaning": texts(each.meaning).split("`")}


ROUTES: list[HTTPRouteHandler] = [settings]

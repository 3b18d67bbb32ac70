"""Every route of the web, from explicit lists: one module a noun. The first place to look for where a path is served."""

from litestar.handlers import HTTPRouteHandler

from taskdash.web.api import (
    bulk,
    claims,
    docs,
    events,
    export,
    groups,
    health,
    incidents,
    intake,
    services,
    session,
    stream,
    tasks,
    tokens,
    users,
    views,
)
from taskdash.web.pages import board, claiming, entry, history, now, task
from taskdash.web.pages import services as service_pages

_MODULES = (
    session,
    users,
    groups,
    tokens,
    tasks,
    bulk,
    export,
    claims,
    services,
    incidents,
    events,
    stream,
    views,
    intake,
    health,
    docs,
    entry,
    now,
    board,
    claiming,
    task,
    service_pages,
    history,
)


def routes() -> list[HTTPRouteHandler]:
    """All route handlers."""
    return [handler for module in _MODULES for handler in module.ROUTES]

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
from taskdash.web.pages import (
    account,
    admin,
    admin_intake,
    admin_people,
    admin_settings,
    admin_tokens,
    board,
    board_parts,
    claiming,
    entry,
    first_run,
    handing_over,
    history,
    mine,
    now,
    palette,
    saved_views,
    task,
    wall,
)
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
    board_parts,
    saved_views,
    mine,
    claiming,
    handing_over,
    task,
    service_pages,
    history,
    palette,
    wall,
    first_run,
    account,
    admin,
    admin_people,
    admin_tokens,
    admin_intake,
    admin_settings,
)


def routes() -> list[HTTPRouteHandler]:
    """All route handlers."""
    return [handler for module in _MODULES for handler in module.ROUTES]

"""Every route of the web, from explicit lists: one module a noun. The first place to look for where a path is served."""

from litestar.handlers import HTTPRouteHandler

from taskdash.web.api import (
    claims,
    docs,
    events,
    groups,
    health,
    incidents,
    intake,
    services,
    session,
    stream,
    tokens,
    users,
    views,
)

_MODULES = (
    session,
    users,
    groups,
    tokens,
    claims,
    services,
    incidents,
    events,
    stream,
    views,
    intake,
    health,
    docs,
)


def routes() -> list[HTTPRouteHandler]:
    """All route handlers."""
    return [handler for module in _MODULES for handler in module.ROUTES]

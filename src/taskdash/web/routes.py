"""Every route of the web, from explicit lists: one module a noun. The first place to look for where a path is served."""

from litestar.handlers import HTTPRouteHandler

from taskdash.web.api import docs, groups, health, intake, session, tokens, users

_MODULES = (session, users, groups, tokens, intake, health, docs)


def routes() -> list[HTTPRouteHandler]:
    """All route handlers."""
    return [handler for module in _MODULES for handler in module.ROUTES]

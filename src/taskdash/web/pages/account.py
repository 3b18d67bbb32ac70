"""Own account: preferences of this browser and tokens of one's own. UI 6."""

from litestar.handlers import HTTPRouteHandler

ROUTES: list[HTTPRouteHandler] = []

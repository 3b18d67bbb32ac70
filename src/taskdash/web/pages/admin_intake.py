"""Dead letters and unregistered senders. UI 6."""

from litestar.handlers import HTTPRouteHandler

ROUTES: list[HTTPRouteHandler] = []

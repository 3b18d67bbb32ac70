"""Settings, each with where its value comes from. UI 6."""

from litestar.handlers import HTTPRouteHandler

ROUTES: list[HTTPRouteHandler] = []

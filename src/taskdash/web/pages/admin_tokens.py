"""Tokens of all users. UI 6 (Admin)."""

from litestar.handlers import HTTPRouteHandler

from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import admin, token_page
from taskdash.web.pages.frame import Html, HtmlRequest, page_get, page_post, view_of

_PLACE = token_page.Place(admin.TOKENS)


@page_get(admin.TOKENS, opt={"action": "see"})
async def tokens(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Everybody's tokens."""
    admin.check_seen(identity.actor, "see_accounts")
    return await token_page.show(request, web, await view_of(request, web, identity), _PLACE)


@page_post(admin.TOKENS, opt={"action": "change_accounts"})
async def create_token(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """A new token of somebody."""
    return await token_page.create(request, web, await view_of(request, web, identity), _PLACE)


@page_post(f"{admin.TOKENS}/revoke", opt={"action": "change_accounts"})
async def revoke_token(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """End somebody's token for good."""
    return await token_page.revoke(request, web, await view_of(request, web, identity), _PLACE)


ROUTES: list[HTTPRouteHandler] = [tokens, create_token, revoke_token]

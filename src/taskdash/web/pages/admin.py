"""What the admin pages share: who may see them, and the side with the counts of each. UI 5, 6 (Admin).

Law: a page that one may not see is not there (404); an action that one may not do is refused with a sentence (403).
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.errors import NotFound
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.rules.roles import Action
from taskdash.store import account_pages, intake_pages
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import frame
from taskdash.web.pages.frame import Html, HtmlRequest, go, page_get
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import mark

USERS, GROUPS, TOKENS = "/admin/users", "/admin/groups", "/admin/tokens"
LETTERS, SENDERS, SETTINGS = "/admin/dead-letters", "/admin/senders", "/admin/settings"
_SECTIONS: tuple[tuple[str, str, Action, tuple[str, ...]], ...] = (
    (USERS, mark("Users and groups"), "see_accounts", (USERS, GROUPS, "/admin/add-")),
    (TOKENS, mark("Tokens"), "see_accounts", (TOKENS,)),
    (LETTERS, mark("Dead letters"), "see_intake", (LETTERS,)),
    (SENDERS, mark("Unregistered senders"), "see_intake", (SENDERS,)),
    (SETTINGS, mark("Settings"), "see_accounts", (SETTINGS,)),
)


class Section(Struct, frozen=True):
    """One link of the side."""

    href: str
    text: str
    count: str
    current: bool


@page_get("/admin", opt={"action": "see"})
async def admin(request: HtmlRequest, identity: Identity) -> Html:
    """The first of the admin pages."""
    check_seen(identity.actor, "see_accounts")
    return go(request, USERS)


def check_seen(actor: Actor, action: Action) -> None:
    """Raises NotFound for who may not see a page."""
    if not roles.may(actor, action):
        raise NotFound("there is no such page")


def below(path: str, name: str) -> str:
    """The page of one thing below a list; its name may hold `/`."""
    return f"{path}/{quote(name, safe='')}"


async def page(request: HtmlRequest, web: Web, view: View, template: str, values: Mapping[str, Any], status: int = 200) -> Html:
    """The page with the side."""
    counts = await web.db.read(_counts)
    sections = [_section(view, counts, *each) for each in _SECTIONS if view.actor and roles.may(view.actor, each[2])]
    return frame.html(request, view, template, {**values, "sections": sections}, status)


def _counts(conn: Connection) -> dict[str, int]:
    return {
        USERS: account_pages.count_of_users(conn),
        TOKENS: account_pages.count_of_tokens(conn),
        LETTERS: intake_pages.count_of_letters(conn),
        SENDERS: intake_pages.count_of_senders(conn),
    }


def _section(view: View, counts: dict[str, int], href: str, text: str, action: Action, below: tuple[str, ...]) -> Section:
    del action
    n = counts.get(href)
    return Section(href, text, "" if n is None else f"{n:,}", view.here.startswith(below))


ROUTES: list[HTTPRouteHandler] = [admin]

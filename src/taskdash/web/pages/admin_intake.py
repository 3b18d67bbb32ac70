"""Dead letters and unregistered senders: what came in and could not be used. UI 6 (Admin).

For everyone whom the rules let see them, as in the API: who sends wrong messages is not always an admin.
"""

import re
from typing import Any

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from taskdash.errors import NotFound
from taskdash.model.records import DeadLetter, Sender
from taskdash.store import dead_letters, intake_pages, senders
from taskdash.web import visible
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import admin, links, snippets
from taskdash.web.pages.frame import Html, HtmlRequest, page_get, view_of
from taskdash.web.pages.render import View
from taskdash.web.query import filter_instant

LETTERS_PAGE, SENDERS_PAGE = 20, 50
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""What a reader would not see, or what would show the rest in another order."""


def _check_seen(web: Web, identity: Identity) -> None:
    if not visible.may_see_intake(identity.actor, web.visibility):
        raise NotFound("there is no such page")


@page_get(admin.LETTERS, opt={"action": "see"})
async def letters(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Messages that could not be understood, newest first, also of one reason alone, or since an instant."""
    _check_seen(web, identity)
    view, query = await view_of(request, web, identity), request.query_params
    reason, before = query.get("reason", ""), query.get("before", "")
    since = filter_instant(query.get("since"), "since")
    before_id = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None

    def read(conn: Connection) -> tuple[list[DeadLetter], list[tuple[str, int]]]:
        found = intake_pages.letters(conn, reason=reason, since=since, before_id=before_id, limit=LETTERS_PAGE + 1)
        return found, dead_letters.by_reason(conn)

    found, reasons = await web.db.read(read)
    pairs = [("reason", reason), ("since", query.get("since", ""))]
    following = [*pairs, ("before", str(found[LETTERS_PAGE - 1].id))] if len(found) > LETTERS_PAGE else []
    values: dict[str, Any] = {
        "total": sum(n for _reason, n in reasons),
        "reasons": [_reason(view, each, n, reason) for each, n in reasons],
        "all_href": admin.LETTERS if reason or since else "",
        "rows": [_letter(view, letter) for letter in found[:LETTERS_PAGE]],
        "next_href": links.with_query(admin.LETTERS, following) if following else "",
        "first_href": links.with_query(admin.LETTERS, pairs) if before_id is not None else "",
    }
    return await admin.page(request, web, view, "admin_letters.html", values)


def _reason(view: View, reason: str, n: int, chosen: str) -> dict[str, Any]:
    href = links.with_query(admin.LETTERS, [("reason", reason)])
    return {"text": view.texts.told(reason), "count": f"{n:,}", "href": href, "current": reason == chosen}


def _letter(view: View, letter: DeadLetter) -> dict[str, Any]:
    return {
        "letter": letter,
        "reason": view.texts.told(letter.reason),
        "text": as_text(letter.body),
        "cut": letter.size_bytes > len(letter.body),
        "size": f"{letter.size_bytes:,} B",
        "download": f"{admin.LETTERS}/{letter.id}/body",
    }


def as_text(body: bytes) -> str:
    """The bytes as text in which nothing hides: what is no UTF-8, and what cannot be seen, is written as its code."""
    text = body.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@page_get(f"{admin.LETTERS}/{{letter_id:str}}/body", opt={"action": "see"})
async def letter_body(web: Web, identity: Identity, letter_id: str) -> Response[bytes]:
    """What is kept of a message, byte for byte, as a file."""
    _check_seen(web, identity)
    number = int(letter_id) if letter_id.isascii() and letter_id.isdigit() and len(letter_id) < 19 else 0
    found = await web.db.read(lambda conn: dead_letters.load(conn, number))
    if found is None:
        raise NotFound("there is no such dead letter; only the last 1,000 are kept")
    headers = {"content-disposition": f'attachment; filename="dead-letter-{found.id}.bin"'}
    return Response(found.body, media_type="application/octet-stream", headers=headers)


@page_get(admin.SENDERS, opt={"action": "see"})
async def unregistered(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Who beats without having registered, each with the line that registers it."""
    _check_seen(web, identity)
    view, after = await view_of(request, web, identity), request.query_params.get("after", "")[:256]

    def read(conn: Connection) -> tuple[list[Sender], int]:
        return senders.page(conn, limit=SENDERS_PAGE + 1, after_id=after), intake_pages.count_of_senders(conn)

    found, total = await web.db.read(read)
    way, following = snippets.way_of(request, web), len(found) > SENDERS_PAGE
    values: dict[str, Any] = {
        "total": f"{total:,}",
        "rows": [
            {
                "sender": each,
                "count": view.texts.plural("%(n)s beat", "%(n)s beats", each.count),
                "line": snippets.register(way, each.id, each.id),
            }
            for each in found[:SENDERS_PAGE]
        ],
        "next_href": links.with_query(admin.SENDERS, [("after", found[SENDERS_PAGE - 1].id)]) if following else "",
        "first_href": admin.SENDERS if after else "",
    }
    return await admin.page(request, web, view, "admin_senders.html", values)


ROUTES: list[HTTPRouteHandler] = [letters, letter_body, unregistered]

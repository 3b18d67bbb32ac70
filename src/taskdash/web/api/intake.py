"""What came in and could not be used: unreadable messages and unregistered senders (SPEC 2, 3, 8)."""

import base64

from litestar import get
from msgspec import Struct

from taskdash.errors import Forbidden
from taskdash.model.instants import to_rfc3339
from taskdash.model.records import Actor, DeadLetter, Sender
from taskdash.store import dead_letters, senders
from taskdash.web import cursor as cursors
from taskdash.web import visible
from taskdash.web.context import Web
from taskdash.web.query import LIMIT, Limit


class LetterShape(Struct):
    """An unreadable message: `body` is its first 4 KiB as text, `body_base64` exactly."""

    id: int
    at: str
    topic: str
    reason: str
    body: str
    body_base64: str
    size_bytes: int
    source: str
    sender: str


class SenderShape(Struct):
    """Who beats without having registered."""

    id: str
    first_at: str
    last_at: str
    count: int
    sender: str


class Letters(Struct):
    """A page of them."""

    items: list[LetterShape]
    next: str | None


class Senders(Struct):
    """A page of them."""

    items: list[SenderShape]
    next: str | None


def _letter(letter: DeadLetter) -> LetterShape:
    return LetterShape(
        letter.id,
        to_rfc3339(letter.at),
        letter.topic,
        letter.reason,
        letter.body.decode("utf-8", "replace"),
        base64.b64encode(letter.body).decode(),
        letter.size_bytes,
        letter.source,
        letter.sender,
    )


def _sender(sender: Sender) -> SenderShape:
    return SenderShape(sender.id, to_rfc3339(sender.first_at), to_rfc3339(sender.last_at), sender.count, sender.sender)


def _check(web: Web, actor: Actor) -> None:
    if not visible.may_see_intake(actor, web.visibility):
        raise Forbidden("whose these messages are nobody knows, so they are for who sees all tasks")


@get("/api/v1/dead-letters", opt={"action": "see_intake"})
async def letters(web: Web, actor: Actor, limit: Limit = LIMIT, cursor: str = "") -> Letters:
    """Messages that could not be understood, newest first."""
    _check(web, actor)
    before = cursors.decode(cursor, "dead-letters", [int])[0] if cursor else None
    found = await web.db.read(
        lambda conn: dead_letters.page(conn, before_id=before if isinstance(before, int) else None, limit=limit + 1)
    )
    next_ = cursors.encode("dead-letters", [found[limit - 1].id]) if len(found) > limit else None
    return Letters([_letter(letter) for letter in found[:limit]], next_)


@get("/api/v1/senders", opt={"action": "see_intake"})
async def unregistered(web: Web, actor: Actor, limit: Limit = LIMIT, cursor: str = "") -> Senders:
    """Senders that never registered."""
    _check(web, actor)
    after = str(cursors.decode(cursor, "senders", [str])[0]) if cursor else ""
    found = await web.db.read(lambda conn: senders.page(conn, limit=limit + 1, after_id=after))
    next_ = cursors.encode("senders", [found[limit - 1].id]) if len(found) > limit else None
    return Senders([_sender(sender) for sender in found[:limit]], next_)


ROUTES = [letters, unregistered]

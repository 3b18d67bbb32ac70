"""Where a task stands in the list that one came from: its neighbours by the very query of that list. UI 6 (Task).

Law: `from` is the query of a board. A task that its page does not hold any more has no neighbours there, only the way back.
"""

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import Connection

from taskdash.errors import TaskDashError
from taskdash.model.records import Actor
from taskdash.rules.roles import Visibility
from taskdash.store import task_page
from taskdash.store.task_page import CAP, Page
from taskdash.web.api.tasks import RISK, filters_of, order_of
from taskdash.web.pages import links
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.query import Query

_LONGEST = 4_000


class Place(NamedTuple):
    """The list, and the tasks before and after this one in it; `text`: which of how many, where that is known."""

    list_href: str
    text: str = ""
    previous: str = ""
    following: str = ""


def place_of(conn: Connection, view: View, actor: Actor, visibility: Visibility, task_id: str, came_from: str) -> Place | None:
    """None when one came from no list, or from one that there is not."""
    pairs = parse_qsl(came_from) if len(came_from) <= _LONGEST else []
    if not pairs:
        return None
    try:
        query = Query.of_pairs(pairs)
        wanted, order = filters_of(query, actor, visibility), order_of(query, RISK)
        page = order.page(conn, wanted, query.limit(), view.now)
    except TaskDashError:
        return None
    here, ids = Place(links.with_query("/tasks", pairs)), [row.task.id for row in page.rows]
    if task_id not in ids:
        return here
    at, after = ids.index(task_id), order.following(page)
    text = "" if order.after else _text(view, at + 1, task_page.count(conn, wanted, view.now))
    following = _href(ids[at + 1], pairs) if at + 1 < len(ids) else _first_of_next(conn, view, actor, visibility, pairs, after)
    return here._replace(text=text, previous=_href(ids[at - 1], pairs) if at else "", following=following)


def _first_of_next(conn: Connection, view: View, actor: Actor, visibility: Visibility, pairs: Pairs, cursor: str | None) -> str:
    if cursor is None:
        return ""
    after = links.changed(pairs, "cursor", cursor)
    query = Query.of_pairs(after)
    page: Page = order_of(query, RISK).page(conn, filters_of(query, actor, visibility), 1, view.now)
    return _href(page.rows[0].task.id, after) if page.rows else ""


def _href(task_id: str, pairs: Pairs) -> str:
    return links.task(task_id, urlencode(pairs))


def _text(view: View, n: int, total: int) -> str:
    known = f"{total:,}" if total <= CAP else f"{CAP:,}+"
    return view.texts("%(n)s of %(total)s", n=f"{n:,}", total=known)

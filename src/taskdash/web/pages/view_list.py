"""Views at the side of the board: the built-in ones and those that were saved, each with its count. UI 6 (Board).

A view is only a named query string. The address names the one that somebody came by (`view=`), so that it stays current, and
can be updated, after the filters have been changed; without a name that view is current which has exactly the page's filters.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions.views import may_delete
from taskdash.errors import TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, SavedView
from taskdash.rules.roles import Visibility
from taskdash.store import counters, task_page, views
from taskdash.store.facets import Facets
from taskdash.web.api.tasks import filters_of
from taskdash.web.pages import links
from taskdash.web.pages.choices import PATH, number
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import mark
from taskdash.web.query import Query

_BUILT_IN: tuple[tuple[str, Pairs], ...] = (
    (mark("All"), []),
    (mark("At risk"), [("at_risk", "true")]),
    (mark("Unowned"), [("user", "none")]),
    (mark("Mine"), [("user", "me")]),
)
_NAME = "view"
_NO_FILTERS = frozenset({"sort", "limit", "cursor", _NAME})
_NO_VIEW = frozenset({"limit", "cursor", _NAME})
_MOST_COUNTED = 20
FEW_TASKS = 20_000
MOST_OF_MANY = 8
"""Of more tasks than that so many saved views are counted, those that ask for what counts fast: together at most 50 ms,
measured at a million tasks. A text takes up to 100 ms there, and what hangs on services 60 ms each while all are down."""


class ViewChoice(Struct, frozen=True):
    """One view as a link. `whose`: of a saved one."""

    href: str
    text: str
    count: str
    current: bool
    changed: bool = False
    """Current, and the filters are not its own any more."""
    id: str = ""
    whose: str = ""
    group_id: str = ""
    mine: bool = False
    may_delete: bool = False


class Counted(Struct, frozen=True):
    """The saved views that somebody sees, and how many tasks each view has, built-in ones first; -1: not counted."""

    saved: list[SavedView]
    numbers: list[int]


def count(conn: Connection, actor: Actor, visibility: Visibility, now: Instant, here: Pairs, counted: Facets) -> Counted:
    """Each by the query of its own list. `here`, `counted`: the page's query and its counts, which are not asked again."""
    saved = views.seen_by(conn, actor.id, actor.groups)
    known, are_few = _known(here, counted), counters.total(conn) <= FEW_TASKS

    def number_of(pairs: Pairs, *, anyway: bool) -> int:
        n = known.get(tuple(filters(pairs)), -1)
        return n if n >= 0 else _count(conn, actor, visibility, now, pairs, anyway=anyway)

    built_in = [number_of(pairs, anyway=True) for _text, pairs in _BUILT_IN]
    some = saved[: _MOST_COUNTED if are_few else MOST_OF_MANY]
    return Counted(saved, [*built_in, *(number_of(parse_qsl(view.query), anyway=are_few) for view in some)])


def _known(here: Pairs, counted: Facets) -> dict[tuple[tuple[str, str], ...], int]:
    """By filters, what the page has counted already."""
    own = tuple(filters(here))
    if own:
        return {own: counted.total}
    return {(): counted.total, (("at_risk", "true"),): counted.at_risk, (("user", "none"),): counted.unowned}


def _count(conn: Connection, actor: Actor, visibility: Visibility, now: Instant, pairs: Pairs, *, anyway: bool) -> int:
    try:
        wanted = filters_of(Query.of_pairs(pairs), actor, visibility)
        return task_page.count(conn, wanted, now) if anyway or task_page.counts_fast(conn, wanted, now) else -1
    except TaskDashError:  # a saved query that breaks a rule of today
        return -1


def listed(view: View, actor: Actor, pairs: Pairs, counted: Counted) -> list[ViewChoice]:
    """The built-in views, then the saved ones."""
    numbers = [*counted.numbers, *[-1] * len(counted.saved)]
    here, named = filters(pairs), next((value for name, value in pairs if name == _NAME), "")
    named = named if any(one.id == named for one in counted.saved) else ""
    found = [
        ViewChoice(links.with_query(PATH, wanted), view.texts(text), number(n), not named and sorted(wanted) == here)
        for (text, wanted), n in zip(_BUILT_IN, numbers, strict=False)
    ]
    for one, n in zip(counted.saved, numbers[len(_BUILT_IN) :], strict=False):
        query = parse_qsl(one.query)
        is_same = filters(query) == here
        is_current = one.id == named if named else is_same
        found.append(
            ViewChoice(
                links.with_query(PATH, [*query, (_NAME, one.id)]),
                one.name,
                number(n),
                is_current,
                changed=is_current and not is_same,
                id=one.id,
                whose=_whose(view, actor, one),
                group_id=one.group_id,
                mine=one.user == actor.id,
                may_delete=may_delete(actor, one),
            )
        )
    return found


def _whose(view: View, actor: Actor, one: SavedView) -> str:
    group = view.texts("group %(group)s", group=one.group_id) if one.group_id else ""
    return " · ".join(part for part in (view.texts("yours") if one.user == actor.id else one.user, group) if part)


def filters(pairs: Pairs) -> Pairs:
    """What makes a view: its filters, in an order of their own."""
    return sorted(pair for pair in pairs if pair[0] not in _NO_FILTERS)


def query_of(pairs: Pairs) -> str:
    """The query string that a view of this page would be."""
    return links.with_query("", [pair for pair in pairs if pair[0] not in _NO_VIEW]).lstrip("?")


def current(choices: Sequence[ViewChoice]) -> ViewChoice | None:
    """The saved view that is shown."""
    return next((choice for choice in choices if choice.id and choice.current), None)

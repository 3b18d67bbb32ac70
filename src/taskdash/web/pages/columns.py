"""Which columns of the board a browser shows: chosen by a form, kept in a cookie; rows hold no others. UI 6."""

from typing import NamedTuple

from litestar.handlers import HTTPRouteHandler

from taskdash.web.pages import links
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, own_cookie, page_post
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.texts import mark

COOKIE = "taskdash-columns"
_YEAR_S = 31_536_000


class Column(NamedTuple):
    """One column: its name in the cookie and the style sheet, its heading, the sort that its heading asks for."""

    name: str
    text: str
    sort: str = ""
    usual: bool = True


COLUMNS = (
    Column("status", mark("Status"), "status"),
    Column("id", "ID", "id"),
    Column("name", mark("Name"), "name"),
    Column("url", "URL", usual=False),
    Column("description", mark("Description"), usual=False),
    Column("reserved", mark("Reserved"), usual=False),
    Column("owner", mark("Owner")),
    Column("group", mark("Group")),
    Column("service", mark("Service")),
    Column("why", mark("Why")),
    Column("updated", mark("Updated"), "-updated_at"),
)
"""In their order. The name is always there: it is the link to the task."""
USUAL = frozenset(column.name for column in COLUMNS if column.usual)
_ALWAYS = frozenset({"name"})


class Head(NamedTuple):
    """The heading of one column; `direction`: how the list is sorted by it, for `aria-sort`."""

    name: str
    text: str
    href: str
    direction: str


def chosen(request: HtmlRequest) -> frozenset[str]:
    """The columns of this browser; the usual ones while nobody chose."""
    known = {column.name for column in COLUMNS}
    found = frozenset(request.cookies.get(COOKIE, "").split(".")) & known
    return found | _ALWAYS if found else USUAL


def names(shown: frozenset[str]) -> list[str]:
    """The shown columns in their order."""
    return [column.name for column in COLUMNS if column.name in shown]


def heads(pairs: Pairs, path: str, sort: str, shown: frozenset[str]) -> list[Head]:
    """The headings of the shown columns; one that sorts is a link, and turns round the order that is already its own."""
    return [_head(pairs, path, sort, column) for column in COLUMNS if column.name in shown]


def _head(pairs: Pairs, path: str, sort: str, column: Column) -> Head:
    by = column.sort
    if not by:
        return Head(column.name, column.text, "", "")
    back = by.removeprefix("-") if by.startswith("-") else f"-{by}"
    direction = "" if sort not in {by, back} else "descending" if sort.startswith("-") else "ascending"
    href = links.with_query(path, links.changed(pairs, "sort", back if sort == by else by))
    return Head(column.name, column.text, href, direction)


@page_post("/ui/columns", opt={"action": "see"})
async def choose(request: HtmlRequest) -> Html:
    """Keep the choice of this browser for a year; none at all: the usual ones again."""
    fields = await fields_of(request)
    wanted = [column.name for column in COLUMNS if column.name in fields.get("columns", [])]
    kept = ".".join(wanted) if "reset" not in fields and wanted else ""
    cookie = own_cookie(request, COOKIE, kept, _YEAR_S if kept else 0)
    return go(request, fields.get("next", ["/tasks"])[0], cookies=[cookie])


ROUTES: list[HTTPRouteHandler] = [choose]

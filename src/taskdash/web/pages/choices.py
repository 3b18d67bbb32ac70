"""The side of the board: views and facets, each value a link that sets or takes away this filter. Pure. UI 6 (Board)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from msgspec import Struct

from taskdash.model.records import SavedView
from taskdash.store.facets import Bucket, Facets
from taskdash.store.task_page import CAP
from taskdash.web.pages import links, words
from taskdash.web.pages.links import Pairs
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import mark
from taskdash.web.pages.words import Word

PATH = "/tasks"
LARGEST = 10
_STATES = ("up", "late", "down", "unknown", "new", "left", "paused")
_VIEWS = (
    (mark("All tasks"), (), "total"),
    (mark("At risk"), (("at_risk", "true"),), "at_risk"),
    (mark("Unowned"), (("user", "none"),), "unowned"),
    (mark("Mine"), (("user", "me"),), ""),
    (mark("Stale"), (("stale", "true"),), "stale"),
    (mark("Should run"), (("schedule", "should_run"),), "should_run"),
)
_PRESENTATION = ("sort", "limit", "cursor")


class Choice(Struct, frozen=True):
    """One link: a word with its shape, or a text; how many tasks it leads to, empty where nobody counted."""

    href: str
    count: int
    count_text: str
    current: bool
    word: Word | None = None
    text: str = ""
    title: str = ""


class Facet(NamedTuple):
    """A heading and its links."""

    title: str
    choices: list[Choice]


def facets(view: View, pairs: Pairs, counted: Facets, saved: Sequence[SavedView]) -> list[Facet]:
    """Views, then status, liveness, group, owner, service."""
    return [
        Facet(mark("Views"), _views(view, pairs, counted, saved)),
        Facet(mark("Status"), _words(pairs, "status", counted.status, words.STATUSES, words.STATUSES)),
        Facet(mark("Service state"), _words(pairs, "liveness", counted.liveness, words.STATES, _STATES)),
        Facet(mark("Group"), _texts(pairs, "group", counted.group, view.texts("none"))),
        Facet(mark("Owner"), _texts(pairs, "user", counted.user, view.texts("Unowned"))),
        Facet(mark("Service"), _texts(pairs, "service", counted.service, view.texts("none"))),
    ]


def _views(view: View, pairs: Pairs, counted: Facets, saved: Sequence[SavedView]) -> list[Choice]:
    set_ = sorted(pair for pair in pairs if pair[0] not in _PRESENTATION)
    plain = not set_
    found = []
    for text, filters, name in _VIEWS:
        n = getattr(counted, name) if plain and name else -1
        href = links.with_query(PATH, filters)
        found.append(Choice(href, max(n, 1 if n < 0 else 0), _number(n), set_ == sorted(filters), text=view.texts(text)))
    for one in saved:
        query = parse_qsl(one.query)
        whose = view.texts("yours") if view.actor and one.user == view.actor.id else one.group_id or one.user
        is_current = set_ == sorted(pair for pair in query if pair[0] not in _PRESENTATION)
        found.append(Choice(links.with_query(PATH, query), 1, "", is_current, text=one.name, title=whose))
    return found


def _words(pairs: Pairs, name: str, buckets: Sequence[Bucket], table: Mapping[str, Word], order: Iterable[str]) -> list[Choice]:
    counts = {bucket.value: bucket.count for bucket in buckets}
    values = [*order, *(value for value in counts if value not in table), *_chosen(pairs, name)]
    return [
        _choice(pairs, name, value, counts.get(value, 0), words.word(table, value)) for value in dict.fromkeys(values) if value
    ]


def _texts(pairs: Pairs, name: str, buckets: Sequence[Bucket], empty: str) -> list[Choice]:
    counts = {bucket.value or "none": bucket.count for bucket in buckets}
    values = dict.fromkeys([*list(counts)[:LARGEST], *_chosen(pairs, name)])
    return [_choice(pairs, name, value, counts.get(value, 0), text=empty if value == "none" else value) for value in values]


def _choice(pairs: Pairs, name: str, value: str, n: int, word: Word | None = None, text: str = "") -> Choice:
    href = links.with_query(PATH, links.toggled(pairs, name, value))
    return Choice(href, n, _number(n), (name, value) in pairs, word, text, value if len(text) > 16 else "")


def _chosen(pairs: Pairs, name: str) -> list[str]:
    return [value for key, value in pairs if key == name]


def _number(n: int) -> str:
    if n < 0:
        return ""
    return f"{n:,}" if n <= CAP else f"{CAP // 1_000}k+"

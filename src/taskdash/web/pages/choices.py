"""The facets of the board's side: each value a link that sets or takes away this filter, with its count. Pure. UI 6 (Board).

Law: the number beside a link is that of exactly the rows behind it; a value that counts 0 stays, grey.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

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
    """A heading and its links; `name` of the filter and `others`: values beyond the largest, to be searched for."""

    title: str
    choices: list[Choice]
    name: str = ""
    others: Sequence[str] = ()


class Known(NamedTuple):
    """Groups and owners with tasks under no filter, largest first: those that count 0 now stay."""

    groups: Sequence[str]
    users: Sequence[str]


def facets(view: View, pairs: Pairs, counted: Facets, known: Known) -> list[Facet]:
    """Status, liveness, group, owner."""
    none, unowned = view.texts("none"), view.texts("Unowned")
    return [
        Facet(mark("Status"), _words(pairs, "status", counted.status, words.STATUSES, words.STATUSES)),
        Facet(mark("Service state"), _words(pairs, "liveness", counted.liveness, words.STATES, _STATES)),
        Facet(mark("Group"), _texts(pairs, "group", counted.group, known.groups, none)),
        Facet(
            mark("Owner"), _texts(pairs, "user", counted.user, known.users, unowned), "user", _beyond(counted.user, known.users)
        ),
    ]


def number(n: int) -> str:
    """A count, exact to 10,000 (SPEC 8); nothing for one that nobody counted."""
    if n < 0:
        return ""
    return f"{n:,}" if n <= CAP else f"{CAP // 1_000}k+"


def _words(pairs: Pairs, name: str, buckets: Sequence[Bucket], table: Mapping[str, Word], order: Iterable[str]) -> list[Choice]:
    counts = {bucket.value: bucket.count for bucket in buckets}
    values = [*order, *(value for value in counts if value not in table), *_chosen(pairs, name)]
    return [
        _choice(pairs, name, value, counts.get(value, 0), words.word(table, value)) for value in dict.fromkeys(values) if value
    ]


def _texts(pairs: Pairs, name: str, buckets: Sequence[Bucket], known: Sequence[str], empty: str) -> list[Choice]:
    counts = {bucket.value or "none": bucket.count for bucket in buckets}
    largest = list(dict.fromkeys([*counts, *(value or "none" for value in known)]))[:LARGEST]
    values = dict.fromkeys([*largest, *_chosen(pairs, name)])
    return [_choice(pairs, name, value, counts.get(value, 0), text=empty if value == "none" else value) for value in values]


def _beyond(buckets: Sequence[Bucket], known: Sequence[str]) -> list[str]:
    """Values that are not among the largest."""
    values = list(dict.fromkeys([*(bucket.value for bucket in buckets), *known]))
    return [value for value in values[LARGEST:] if value]


def _choice(pairs: Pairs, name: str, value: str, n: int, word: Word | None = None, text: str = "") -> Choice:
    href = links.with_query(PATH, links.toggled(pairs, name, value))
    return Choice(href, n, number(n), (name, value) in pairs, word, text, value if len(text) > 16 else "")


def _chosen(pairs: Pairs, name: str) -> list[str]:
    return [value for key, value in pairs if key == name]

"""Tasks that are in order are seen to be so all at once: one look at 50 records instead of 500 checks. Pure.

Law: what is called plain here keeps SPEC 1 (`messages.check_task`); what is not may still keep it. It is the difference
between 6 and 2 times the cost of a bare HTTP exchange for a changed answer (DESIGN 8).
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import UNSET

from taskdash.errors import BadField
from taskdash.model import fields
from taskdash.model.records import TaskFields, Text

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/?#-]*)?")
_DOTS = frozenset({".", ".."})


def are_plain(tasks: Sequence[TaskFields]) -> bool:
    """True when every record certainly keeps SPEC 1; False when that is to be looked at record by record."""
    return (
        _are_ids([task.id for task in tasks])
        and all(_are_short([getattr(task, name) for task in tasks]) for name in ("name", "status", "user", "group_id"))
        and all(_are_long([getattr(task, name) for task in tasks]) for name in ("description", "reserved"))
        and all(_are_times({getattr(task, name) for task in tasks}, name) for name in ("start_time", "stop_time"))
        and all(_is_url(url) for url in _sent(task.url for task in tasks))
    )


def _sent(values: Iterable[Text]) -> list[str]:
    return [value for value in values if value is not UNSET and value]


def _are_ids(ids: list[str]) -> bool:
    return _fit(ids, fields.ID_CHARACTERS) and all(ids) and _DOTS.isdisjoint(ids) and ids == [i.strip() for i in ids]


def _are_short(values: list[Text]) -> bool:
    return _fit(_sent(values), fields.SHORT_CHARACTERS)


def _are_long(values: list[Text]) -> bool:
    return _fit([value.replace("\n", "").replace("\t", "") for value in _within(_sent(values))], fields.LONG_CHARACTERS)


def _within(values: list[str]) -> list[str]:
    """Tabs and newlines count as characters: too long a text stays so."""
    return values if all(len(value) <= fields.LONG_CHARACTERS for value in values) else ["\0"]


def _fit(values: list[str], most: int) -> bool:
    """No character that is not printable is also none that controls anything."""
    return "".join(values).isprintable() and max(map(len, values), default=0) <= most


def _are_times(values: set[Text], name: str) -> bool:
    try:
        for value in _sent(values):
            fields.check_time(value, name)
    except BadField:
        return False
    return True


def _is_url(url: str) -> bool:
    return len(url) <= fields.URL_CHARACTERS and _URL.fullmatch(url) is not None

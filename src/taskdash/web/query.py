"""What a caller asks of a list: named values from a query string or from JSON, checked one by one. Pure. SPEC 8, R85.

Law: a value that breaks a rule is a BadField that names it; a name that nobody asks for is ignored, as in SPEC 1.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from litestar.params import Parameter
from msgspec import UNSET

from taskdash.errors import BadField
from taskdash.model.instants import EARLIEST, LATEST, Instant, exact_rfc3339, parse_rfc3339

LIMIT, MOST = 50, 500
Limit = Annotated[int, Parameter(ge=1, le=MOST)]
"""A route's `limit`, where the framework reads it."""
TEXT_CHARACTERS = 256
VALUES = 100
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class Query:
    """The named values of one request; a name may have several."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, Any]]) -> "Query":
        """From a query string's (name, value) pairs."""
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(str(value))
        return cls(values)

    @classmethod
    def of_json(cls, body: Mapping[str, Any]) -> "Query":
        """From JSON with the same names, whose types were checked: texts, numbers, booleans, or lists of texts."""
        return cls({name: _texts(value) for name, value in body.items() if value is not None and value is not UNSET})

    def one(self, name: str, default: str = "") -> str:
        """The value of a name that may be given once."""
        found = self._values.get(name, [])
        if len(found) > 1:
            raise BadField(f"{name} must be given once", field=name)
        return found[0] if found else default

    def several(self, name: str) -> tuple[str, ...]:
        """All values of a name, each of up to 256 characters, at most 100."""
        found = [value for value in self._values.get(name, []) if value]
        if len(found) > VALUES or any(len(value) > TEXT_CHARACTERS for value in found):
            raise BadField(f"{name} must have at most {VALUES} values of at most {TEXT_CHARACTERS} characters", field=name)
        return tuple(dict.fromkeys(found))

    def text(self, name: str) -> str:
        """Free text of up to 256 characters."""
        found = self.one(name)
        if len(found) > TEXT_CHARACTERS:
            raise BadField(f"{name} must have at most {TEXT_CHARACTERS} characters, not {len(found)}", field=name)
        return found

    def truth(self, name: str) -> bool | None:
        """true, false, 1 or 0; None when it was not given."""
        found = self.one(name).lower()
        if found and found not in _TRUTHS:
            raise BadField(f"{name} must be true or false", field=name)
        return _TRUTHS.get(found)

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number from 0 to 2**63 - 1."""
        found = self.one(name)
        if not found:
            return default
        if not (found.isascii() and found.isdigit()) or int(found[:30]) >= 2**63:
            raise BadField(f"{name} must be a whole number", field=name)
        return int(found)

    def limit(self) -> int:
        """How many rows: 1 to 500, 50 when not given."""
        found = self.one("limit")
        number = int(found) if found.isascii() and found.isdigit() and len(found) < 10 else -1 if found else LIMIT
        if not 1 <= number <= MOST:
            raise BadField(f"limit must be a whole number from 1 to {MOST}", field="limit")
        return number

    def choice(self, name: str, known: Iterable[str], default: str) -> str:
        """One of the known values."""
        found, allowed = self.one(name, default) or default, list(known)
        if found not in allowed:
            raise BadField(f"{name} must be one of {', '.join(allowed)}", field=name)
        return found

    def choices(self, name: str, known: Iterable[str]) -> tuple[str, ...]:
        """Some of the known values."""
        found, allowed = self.several(name), list(known)
        if not set(found) <= set(allowed):
            raise BadField(f"{name} must be one of {', '.join(allowed)}", field=name)
        return found

    def instant(self, name: str) -> Instant | None:
        """An RFC 3339 time."""
        return filter_instant(self.one(name), name)


def filter_instant(text: str | None, name: str) -> Instant | None:
    """A bound of a filter: beyond every Instant is as good as the last one. A `+` of a query string arrives as a space."""
    if not text:
        return None
    try:
        return parse_rfc3339(text[:11] + text[11:].replace(" ", "+"))
    except ValueError:
        raise _no_time(name) from None


def parse_instant(text: str | None, name: str) -> Instant | None:
    """The instant that is to be kept of an RFC 3339 text; None for none. Raises BadField, also beyond an Instant's range."""
    if not text:
        return None
    try:
        at = exact_rfc3339(text)
    except ValueError:
        raise _no_time(name) from None
    return keepable(at, name)


def keepable(at: int, name: str) -> Instant:
    """The same nanoseconds when an Instant can hold them; BadField when not, for another time than was sent is not kept."""
    if not EARLIEST <= at <= LATEST:
        raise BadField(f"{name} must lie after 1677-09-22 and before 2262-04-11", field=name)
    return at


def _no_time(name: str) -> BadField:
    return BadField(f"{name} must be an RFC 3339 time such as 2026-01-02T03:04:05Z", field=name)


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]

"""Where in a body stands what no reader can hold, so that a refusal names the field (RELIABILITY R63). Pure.

Only for bodies that are refused already: it reads them again, leniently, and looks at every value.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from taskdash.model.fields import SHORT_CHARACTERS, safe_text

MOST_BYTES = 64 * 1024
"""In a larger body nothing is sought, for that would take the loop longer than a message may (R64)."""
_UNHELD = re.compile("[\x00\ud800-\udfff]")


class _Found(str):
    """A number, as it was written, that cannot be held."""

    __slots__ = ()


def place_of_unheld(raw: bytes) -> str:
    """The path of the first such value (`reserved`, `a.b[2]`); empty when there is none, or the body cannot be read at all."""
    if len(raw) > MOST_BYTES:
        return ""
    try:
        value = _lenient.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return ""
    path = next((path for path in _paths(value, "") if path), "")
    return safe_text(path[:SHORT_CHARACTERS])


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Found) or (isinstance(value, str) and _UNHELD.search(value)):
        yield path
    elif isinstance(value, tuple):
        for name, each in value:
            yield from _paths(each, f"{path}.{name}" if path else name) if not _UNHELD.search(name) else (path,)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _paths(each, f"{path}[{index}]")


def _whole(text: str) -> "int | _Found":
    return int(text) if is_64_bit(text) else _Found(text)


def _broken(text: str) -> "float | _Found":
    number = float(text)
    return _Found(text) if number in {float("inf"), float("-inf")} else number


def is_64_bit(digits: str) -> bool:
    """True for a whole number from -2**63 to 2**64 - 1, as JSON writes it."""
    return len(digits) <= 20 and -(2**63) <= int(digits) < 2**64


_lenient = json.JSONDecoder(object_pairs_hook=tuple, parse_int=_whole, parse_float=_broken, parse_constant=_Found, strict=False)

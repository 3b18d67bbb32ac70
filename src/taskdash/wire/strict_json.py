"""Bytes to a typed value, or one error: the only caller of msgspec's decoder for what comes from outside.

Pure. Refused (SPEC 1): invalid UTF-8 anywhere, U+0000, nesting deeper than 32, numbers that nothing holds, and all that
msgspec itself refuses (NaN, lone surrogates, BOM, trailing bytes, a number for a text). Of duplicate keys the last counts
(RELIABILITY R60-R64, F19-F21).
"""

import re
from typing import TypeVar

import msgspec

from taskdash.errors import BadField, BadJson
from taskdash.wire.json_numbers import has_unheld
from taskdash.wire.json_places import place_of_unheld

T = TypeVar("T")

DEEPEST = 32
_TOO_DEEP = b"[" * (DEEPEST + 1)
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NEITHER_QUOTE_NOR_BRACKET = bytes(set(range(256)) - set(b'"[]{}'))
_STRING = re.compile(rb'"[^"]*"')
_HIGH, _LOW = rb"[dD][89abAB][0-9a-fA-F]{2}", rb"[dD][c-fC-F]"
_BAD_ESCAPE = re.compile(
    # an odd number of backslashes makes the last one an escape; one search in C, since a body can hold 170,000 of them
    rb"(?<!\\)(?:\\\\)*\\u(?:(0000)|" + _HIGH + rb"(?!\\u" + _LOW + rb")|(?<!\\u" + _HIGH + rb"\\u)" + _LOW + rb")"
)
_IN_BAD_ESCAPES = (rb"\u0000", rb"\ud", rb"\uD")
"""Each of them holds one of these; without, the search is not made: texts written as escapes would cost twice all the rest."""
_MISSING = re.compile(r"missing required field `([^`]*)`")
_PATH = re.compile(r" - at `\$\.?(?:\[\.\.\.\]\.?)*([^`]*)`$")


def decode(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """The value, typed by `decoder`. Raises BadJson (not JSON) or BadField (a field has the wrong type)."""
    _check_bytes(raw)
    return _decoded(raw, decoder)


def _decoded(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        where = place_of_unheld(raw)
        place = f"{where}: " if where else ""
        raise BadJson(f"the body is not valid JSON: {place}{_plain(str(error))}", field=where or None) from None
    except RecursionError:
        raise BadJson(f"the body is nested deeper than {DEEPEST}") from None


def outline(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """As `decode`, but the bytes themselves are not looked at: they are part of what was, or the value's parts are
    `msgspec.Raw`, each still to be given to `decode`, so that one bad part spoils only itself.
    """
    return _decoded(raw, decoder)


def _check_bytes(raw: bytes) -> None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"the body is not valid UTF-8 at byte {error.start}") from None
    if b"\x00" in raw:
        raise BadJson("the body holds the character U+0000")
    if any(part in raw for part in _IN_BAD_ESCAPES) and (bad := _BAD_ESCAPE.search(raw)):
        raise _bad_escape(raw, is_null=bool(bad.group(1)))
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and _depth_exceeds(raw):
        raise BadJson(f"the body is nested deeper than {DEEPEST}")
    if has_unheld(raw):
        where = place_of_unheld(raw)
        raise BadField(f"{where or 'the body'} holds a number beyond 64 bit", field=where or None)


def _bad_escape(raw: bytes, *, is_null: bool) -> BadJson:
    field = place_of_unheld(raw) or None
    where = field or "the body"
    if is_null:
        return BadJson(f"{where} holds the character U+0000", field=field)
    return BadJson(f"{where} holds a lone surrogate", field=field)


def _depth_exceeds(raw: bytes) -> bool:
    """Level by level from the inside, each by one replacement in C: a page of 50 records holds 600 strings."""
    brackets = _brackets(raw)
    for _ in range(DEEPEST):
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets) or _TOO_DEEP in outer:
            break
        brackets = outer
    return b"[]" in brackets or _TOO_DEEP in brackets or brackets.count(b"[") > DEEPEST


def _brackets(raw: bytes) -> bytes:
    """The brackets outside strings, all as square ones. Two quotes side by side may go: which is inside stays the same."""
    raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    raw = raw.translate(_AS_SQUARE, _NEITHER_QUOTE_NOR_BRACKET).replace(b'""', b"")
    return _STRING.sub(b"", raw) if b'"' in raw else raw


def _wrong_field(text: str) -> BadField:
    found, missing = _PATH.search(text), _MISSING.search(text)
    name = found.group(1) if found else ""
    rule = _PATH.sub("", text)
    return BadField(f"{name or 'the body'}: {_plain(rule)}", field=missing.group(1) if missing else name or None)


def _plain(text: str) -> str:
    is_name = text[:2].isupper()  # "JSON is malformed"
    return (text if is_name else text[:1].lower() + text[1:]).rstrip(".")

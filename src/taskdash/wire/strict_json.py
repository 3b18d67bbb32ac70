"""Bytes to a typed value, or one error: the only caller of msgspec's decoder for what comes from outside.

Pure. Refused (SPEC 1): invalid UTF-8 anywhere, U+0000, nesting deeper than 32, and all that msgspec itself refuses (NaN,
lone surrogates, BOM, trailing bytes, a number for a text). Of duplicate keys the last counts (RELIABILITY R60-R64, F19-F21).
"""

import re
from typing import TypeVar

import msgspec

from taskdash.errors import BadField, BadJson

T = TypeVar("T")

DEEPEST = 32
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_ESCAPED_NUL = re.compile(rb"\\+u0000")
_PATH = re.compile(r" - at `\$\.?(?:\[\.\.\.\]\.?)*([^`]*)`$")


def decode(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """The value, typed by `decoder`. Raises BadJson (not JSON) or BadField (a field has the wrong type)."""
    _check_bytes(raw)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadJson(f"the body is not valid JSON: {_plain(str(error))}") from None
    except RecursionError:
        raise BadJson(f"the body is nested deeper than {DEEPEST}") from None


def _check_bytes(raw: bytes) -> None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"the body is not valid UTF-8 at byte {error.start}") from None
    if b"\x00" in raw or _holds_escaped_nul(raw):
        raise BadJson("the body holds the character U+0000")
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and _depth_exceeds(raw):
        raise BadJson(f"the body is nested deeper than {DEEPEST}")


def _holds_escaped_nul(raw: bytes) -> bool:
    r"""An odd number of backslashes before `u0000` is the character; `\\u0000` is six harmless letters."""
    return b"u0000" in raw and any(len(m.group()) % 2 == 0 for m in _ESCAPED_NUL.finditer(raw))


def _depth_exceeds(raw: bytes) -> bool:
    depth = 0
    for match in _BRACKETS.finditer(raw):
        token = match.group()
        if token in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif token in b"]}":
            depth -= 1
    return False


def _wrong_field(text: str) -> BadField:
    found = _PATH.search(text)
    name = found.group(1) if found else ""
    rule = _PATH.sub("", text)
    return BadField(f"{name or 'the body'}: {_plain(rule)}", field=name or None)


def _plain(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")

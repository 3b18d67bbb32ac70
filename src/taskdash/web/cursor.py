"""Cursors: where the next page of a list begins, as text that a client hands back unread. Pure. SPEC 8, RELIABILITY R85.

Law: what is decoded here was made here for the same list and order, or is refused (BadCursor). A cursor holds a position and
no permission, so it is checked in full instead of signed: forging one reaches nothing that its filters do not reach.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from taskdash.errors import BadCursor

LONGEST = 4_096
Position = tuple[str | int | None, ...]
_decoder = msgspec.json.Decoder(list[str | int | None])


def encode(order: str, position: Sequence[Any]) -> str:
    """The cursor of a `position` (keys of the last row) in the list named by `order`."""
    raw = msgspec.json.encode([order, *position])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode_or_none(order: str, position: Sequence[Any] | None) -> str | None:
    """As `encode`; no position, no next page."""
    return None if position is None else encode(order, position)


def decode(text: str, order: str, kinds: Sequence[type | tuple[type, ...]]) -> Position:
    """The position that `encode` was given for the same `order`, one value a kind. Raises BadCursor for anything else."""
    values = _values(text)
    position = tuple(values[1:])
    if values[0] != order:
        raise BadCursor("this cursor belongs to another list or order; begin again without it", field="cursor")
    if len(position) != len(kinds) or not all(isinstance(v, kind) for v, kind in zip(position, kinds, strict=True)):
        raise _unknown()
    if encode(order, position) != text or any(isinstance(v, int) and abs(v) >= 2**63 for v in position):
        raise _unknown()
    return position


def _values(text: str) -> list[str | int | None]:
    if not 0 < len(text) <= LONGEST or not text.isascii():
        raise _unknown()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        values = _decoder.decode(raw)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        raise _unknown() from None
    if not values:
        raise _unknown()
    return values


def _unknown() -> BadCursor:
    return BadCursor("the cursor is not one of ours; begin again without it", field="cursor")

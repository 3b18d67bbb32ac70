"""Is there a number in this JSON that no reader can hold: infinite, or whole and beyond 64 bit (RELIABILITY R63)? Pure.

msgspec skips the values of unknown fields without looking at them. Nearly every body is cleared by one look in C: such a
number has 19 digits in a row, or an exponent of three. What is not cleared is read without a loop of ours, as far as it can
be, since a body can hold 500,000 numbers (R64).
"""

import math

from taskdash.wire.json_places import is_64_bit

_SHAPE = bytes.maketrans(b"123456789E", b"000000000e")
_OF_NUMBERS = b"0123456789.eE+-"
_APART = bytes(byte if byte in _OF_NUMBERS else 0x20 for byte in range(256))
_WORDS = (b"true", b"false")
_SURELY_HELD = 2.0**63 * (1 - 2**-52)


def has_unheld(raw: bytes) -> bool:
    """True when a number outside texts is infinite or beyond 64 bit; what is no JSON at all may be either."""
    if not _may_hold_one(raw):
        return False
    outside = b" ".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    return _may_hold_one(outside) and _holds_one(outside)


def _may_hold_one(raw: bytes) -> bool:
    shape = raw.translate(_SHAPE)
    return b"0" * 19 in shape or b"e000" in shape or b"e+000" in shape


def _holds_one(outside: bytes) -> bool:
    for word in _WORDS:
        outside = outside.replace(word, b" ")
    numbers = set(outside.translate(_APART).split())
    try:
        largest = max(map(abs, map(float, numbers)), default=0.0)
    except ValueError:
        return False  # no JSON
    if largest < _SURELY_HELD:
        return False
    return math.isinf(largest) or not all(is_64_bit(n.decode()) for n in numbers if len(n) >= 19 and _is_whole(n))


def _is_whole(number: bytes) -> bool:
    return number.lstrip(b"-").isdigit()

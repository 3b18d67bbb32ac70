"""Is any list in this JSON longer than that? Found without making a member of it, so that 8 million of them cost nothing. Pure.

Law: bounded memory for any bytes, valid or not (RELIABILITY R14, R48): the body is looked at a piece at a time, of which only
brackets and commas outside strings are kept, and closed brackets are taken away from the inside.
"""

import re
from collections.abc import Iterator

from taskdash.wire.strict_json import DEEPEST

_PIECE_BYTES = 256 * 1024
_REST_OF_ESCAPE = re.compile(rb"(?<=\\)\\*[^\\]?", re.DOTALL)
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{},"))
_CLOSED = re.compile(rb"\[,*\]")


def has_longer(body: bytes, most: int) -> bool:
    """True when a list or an object somewhere has more than `most` members, or when nesting is too deep to tell."""
    return body.count(b",") >= most and _has_run(body, b"," * most)


def _has_run(body: bytes, run: bytes) -> bool:
    in_string = False
    left = b""
    for piece in _pieces(body):
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[in_string::2])
        in_string ^= len(parts) % 2 == 0
        left += outside.translate(_AS_SQUARE, _OTHERS)
        for _ in range(DEEPEST):
            if run in left:
                return True
            left = _CLOSED.sub(b"", left)
        if run in left or left.count(b"[") > DEEPEST:
            return True
    return False


def _pieces(body: bytes) -> Iterator[bytes]:
    """The body in pieces, none of which ends inside an escape."""
    start = 0
    while start < len(body):
        end = min(start + _PIECE_BYTES, len(body))
        rest = _REST_OF_ESCAPE.match(body, end)
        end = rest.end() if rest else end
        yield body[start:end]
        start = end

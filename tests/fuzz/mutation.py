"""Wrong bytes made from right ones: a kept corpus, changed by a seeded chance that knows what our formats are made of.

Law: the same seed gives the same bytes for ever. An input that found a fault joins `corpus/<port>` and is tried unchanged too.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TOKENS = [
    b'"', b"{", b"}", b"[" * 40, b"]", b":", b",", b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\r\n", b"\n", b" ",
    b"null",
    b"NaN", b"1e999", b"-1", b"9" * 400, b"true", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff", b"\x00",
    b"\x7f\xff\xff\xff", b"\x00\x10\x00\x00", b"  V2", b"PUB ", b"MPUB ", b"NOP\n", b"%2F", b"%00", b"0\r\n\r\n", b"1392",
    b'"id"', b'"Body"', b'"MessageID"', b'"id":"x",', b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Host: evil\r\n",
]  # fmt: skip
Change = Callable[[random.Random, bytearray, list[bytes]], None]


def corpus(port: str) -> list[bytes]:
    """The kept inputs of a port, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / port).iterdir())]


def inputs(port: str, seed: int) -> Iterator[bytes]:
    """The kept inputs as they are, then changed ones without end."""
    kept, chance = corpus(port), random.Random(seed)
    yield from kept
    while True:
        made = bytearray(chance.choice(kept))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            chance.choice(CHANGES)(chance, made, kept)
        yield bytes(made)


def cut(chance: random.Random, whole: bytes) -> list[bytes]:
    """The same bytes in a few pieces, as a network gives them."""
    ends = sorted(chance.randrange(len(whole) + 1) for _ in range(chance.choice((0, 0, 1, 3))))
    return [whole[a:b] for a, b in zip([0, *ends], [*ends, len(whole)], strict=True)]


def _flip(chance: random.Random, made: bytearray, _kept: list[bytes]) -> None:
    if made:
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)


def _put_token(chance: random.Random, made: bytearray, _kept: list[bytes]) -> None:
    at = chance.randrange(len(made) + 1)
    made[at : at + chance.choice((0, 1, 4))] = chance.choice(TOKENS)


def _remove(chance: random.Random, made: bytearray, _kept: list[bytes]) -> None:
    at = chance.randrange(len(made) + 1)
    del made[at : at + chance.choice((1, 2, 4, 30, 1_000))]


def _repeat(chance: random.Random, made: bytearray, _kept: list[bytes]) -> None:
    at = chance.randrange(len(made) + 1)
    made[at:at] = made[at : at + chance.randrange(1, 100)] * chance.choice((1, 2, 20))


def _splice(chance: random.Random, made: bytearray, kept: list[bytes]) -> None:
    other = chance.choice(kept)
    made[chance.randrange(len(made) + 1) :] = other[chance.randrange(len(other)) :]


def _renumber(chance: random.Random, made: bytearray, _kept: list[bytes]) -> None:
    """Four bytes become a size: small, negative, the limit or beyond."""
    at = chance.randrange(len(made) + 1)
    size = chance.choice((0, 1, len(made), len(made) - 4, 1_048_576, 1_048_577, 2**31, 2**32 - 1)) % 2**32
    made[at : at + 4] = size.to_bytes(4, "big")


CHANGES: list[Change] = [_flip, _put_token, _remove, _repeat, _splice, _renumber]

"""The texts of tokens and the digests of what must not be stored. Pure: the randomness comes in (RELIABILITY R140, R148).

A token is `tdk_`, 30 base62 characters (178 bit) and 6 base62 characters of their CRC-32, so that a scanner finds it and a
typing mistake is refused without asking the store.
"""

import hashlib
import hmac
import zlib

PREFIX = "tdk_"
BODY_CHARACTERS, CRC_CHARACTERS = 30, 6
RANDOM_BYTES = 23
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def token_text(random: bytes) -> str:
    """The token of 23 random bytes."""
    body = _base62(int.from_bytes(random, "big"), BODY_CHARACTERS)
    return PREFIX + body + _crc(body)


def is_token(text: str) -> bool:
    """True when the text has the form of a token and its CRC is right."""
    body = text[len(PREFIX) : len(PREFIX) + BODY_CHARACTERS]
    expected = PREFIX + body + _crc(body)
    return len(body) == BODY_CHARACTERS and hmac.compare_digest(text.encode(), expected.encode())


def digest(secret: str) -> str:
    """What is stored of a token or a cookie: SHA-256 is enough for 128 bit of randomness and more (ASVS 6.5.2)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _crc(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CRC_CHARACTERS)


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits

"""Which passwords are taken: at least 12 characters, at most 1,024 bytes, exactly as typed, none of the common ones. Pure.

RELIABILITY R149 (ASVS 6.2.4 to 6.2.9): no composition rules. Of the lists of common passwords nearly all are shorter than 12
characters; the longer ones are made of a few words, runs and repetitions, so those are recognised instead of listed.
"""

import re

from taskdash.errors import BadField

LEAST_CHARACTERS, MOST_BYTES = 12, 1_024
_WORDS = tuple(
    """
    password passwort passw0rd p@ssword p@ssw0rd qwerty qwertyuiop qwertz azerty asdfgh asdfghjkl zxcvbn zxcvbnm
    letmein welcome admin administrator root user login access master superman batman dragon monkey football
    baseball basketball sunshine princess iloveyou iloveu loveyou trustno1 whatever freedom secret changeme
    default guest test testing temp qazwsx qazwsxedc 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz 2wsx 3edc q1w2e3r4 abc abcd
    abcdef abcdefgh michael jordan charlie computer internet google facebook samsung liverpool chelsea arsenal
    pokemon starwars summer winter spring autumn hello world taskdash woaini wodemima mima nihao
    """.split()  # noqa: SIM905  (a column of words reads better than 80 literals)
)
_RUNS = ("01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
_WORD = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)))


def check_password(password: str, user: str = "", field: str = "password") -> str:
    """The same text. Raises BadField for `field`."""
    if len(password) < LEAST_CHARACTERS:
        raise BadField(f"password must have at least {LEAST_CHARACTERS} characters", field=field)
    if len(password.encode()) > MOST_BYTES:
        raise BadField(f"password must have at most {MOST_BYTES:,} bytes", field=field)
    if is_common(password, user):
        raise BadField("password is one of the common ones, or little more than your name; take another", field=field)
    return password


def is_common(password: str, user: str = "") -> bool:
    """True for common words, runs and repetitions, and what little remains beside them."""
    text = password.casefold()
    if user:
        text = text.replace(user.casefold(), "")
    rest = _WORD.sub("", text)
    for run in _RUNS:
        rest = _without_run(rest, run)
    rest = re.sub(r"(.)\1{2,}", "", rest)
    rest = re.sub(r"(.{1,6}?)\1{2,}", "", rest)
    return len(re.sub(r"[\W_]|\b(19|20)\d\d\b", "", rest)) < 4


def _without_run(text: str, run: str) -> str:
    for size in range(len(text), 3, -1):
        for start in range(len(text) - size + 1):
            if text[start : start + size] in run:
                return text[:start] + text[start + size :]
    return text

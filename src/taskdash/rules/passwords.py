"""Which passwords are taken: at least 12 characters, at most 1,024 bytes, exactly as typed, none of the common ones. Pure.

RELIABILITY R149 (ASVS 6.2.4 to 6.2.9): no composition rules. In lists of common passwords nearly all are shorter than 12
characters; the longer ones are a few words, walks over the keyboard and repetitions, so those are recognised instead of
listed.
"""

import re
from itertools import pairwise

from taskdash.errors import BadField

LEAST_CHARACTERS, MOST_BYTES = 12, 1_024
_LONG_ENOUGH = 32
"""Beyond this many characters only a repetition is common."""
_WORDS = tuple(
    """
    password passwort passw0rd p@ssword p@ssw0rd pa55word contraseña motdepasse qwerty qwertz azerty letmein welcome
    willkommen bonjour administrator admin root user login access master superman batman spiderman dragon monkey
    football baseball basketball soccer hockey sunshine princess iloveyou iloveu loveyou love forever trustno1 whatever
    freedom secret changeme default guest test testing temp temporary computer internet google facebook samsung iphone
    liverpool chelsea arsenal manchester united barcelona realmadrid juventus pokemon starwars minecraft fortnite naruto
    summer winter spring autumn january february march april june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday hello world goodbye unbelievable mynameis myname
    michael jordan charlie jessica jennifer michelle ashley nicole daniel andrew joshua matthew anthony william
    robert thomas john david james alexander elizabeth chocolate cookie butterfly flower angel diamond purple orange
    taskdash woaini wodemima mima nihao woshishui zhongguo beijing shanghai abcd abc company office server database
    """.split()  # noqa: SIM905  (a column of words reads better than 150 literals)
)
_WORD = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)))
_ROWS = ("1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./")
_SHIFTED = str.maketrans("!@#$%^&*()_+", "1234567890-=")
_KEYS = {key: (row, column) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}
_PAD = {key: (row, column) for row, keys in enumerate(("789", "456", "123")) for column, key in enumerate(keys)}
_WALKED = 0.7
"""Random letters have about a quarter of their steps to a neighbour or to the next of the alphabet."""


def check_password(password: str, user: str = "", field: str = "password") -> str:
    """The same text. Raises BadField for `field`."""
    if len(password) < LEAST_CHARACTERS:
        raise BadField(f"{field}: a password must have at least {LEAST_CHARACTERS} characters", field=field)
    if len(password.encode()) > MOST_BYTES:
        raise BadField(f"{field}: a password must have at most {MOST_BYTES:,} bytes", field=field)
    if is_common(password, user):
        raise BadField(f"{field}: this password is a common one, or little more than your name; take another", field=field)
    return password


def is_common(password: str, user: str = "") -> bool:
    """True for repetitions, walks over the keyboard, and for common words with little beside them."""
    text = password.casefold()
    if re.fullmatch(r"(.{1,8}?)\1+.?", text, re.DOTALL):
        return True
    if len(text) > _LONG_ENOUGH:
        return False
    return _is_walk(text.translate(_SHIFTED)) or _is_words(text, user.casefold())


def _is_walk(text: str) -> bool:
    steps = list(pairwise(text))
    return sum(_is_step(a, b) for a, b in steps) >= _WALKED * len(steps)


def _is_step(a: str, b: str) -> bool:
    """To the same key, a neighbour of it, or the next or last letter of the alphabet."""
    return abs(ord(a) - ord(b)) <= 1 or any(
        a in keys and b in keys and max(abs(keys[a][0] - keys[b][0]), abs(keys[a][1] - keys[b][1])) <= 1
        for keys in (_KEYS, _PAD)
    )


def _is_words(text: str, user: str) -> bool:
    beside = _WORD.sub("", text.replace(user, "") if user else text)
    return len(beside) < len(text) and len(re.findall(r"[^\W\d_]", beside)) < 4

"""Text to search tokens: three letters of Latin and the like, two characters of Chinese, Japanese, Korean. Pure. STORE.md.

A token finds candidates only; the text itself is compared afterwards, so that what tokens cannot tell (order, punctuation)
does not matter. Text shorter than a token has none.
"""

import re
import unicodedata
from collections.abc import Iterator

_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_WIDE}]+|[^\W_{_WIDE}]+")
_IS_WIDE = re.compile(rf"[{_WIDE}]")


def normal(text: str) -> str:
    """The text as it is compared: compatibility forms and case made one."""
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> list[str]:
    """The distinct tokens of a text, in the order of their first place."""
    return list(dict.fromkeys(_tokens(normal(text))))


def _tokens(text: str) -> Iterator[str]:
    for run in _RUNS.findall(text):
        size = 2 if _IS_WIDE.match(run) else 3
        for start in range(len(run) - size + 1):
            yield run[start : start + size]


def words(query: str) -> list[str]:
    """The words of a query: each must occur."""
    return query.split()

"""Text to search tokens: three letters of Latin and the like, two characters of Chinese, Japanese, Korean. Pure. STORE.md.

A token finds candidates only; the text itself is compared afterwards, so that what tokens cannot tell (order, punctuation)
does not matter. Text shorter than a token has none.
"""

import re
import unicodedata

_FIRST_WIDE = "\u2e80"
_WIDE = f"{_FIRST_WIDE}-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_WIDE}]+|[^\W_{_WIDE}]+")
_IS_WIDE = re.compile(rf"[{_WIDE}]")


def normal(text: str) -> str:
    """The text as it is compared: compatibility forms and case made one."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> list[str]:
    """The distinct tokens of a text, in the order of their first place."""
    found: list[str] = []
    for run in _RUNS.findall(normal(text)):
        size = 2 if run[0] >= _FIRST_WIDE and _IS_WIDE.match(run) else 3
        found += [run[start : start + size] for start in range(len(run) - size + 1)]
    return list(dict.fromkeys(found))


def words(query: str) -> list[str]:
    """The words of a query: each must occur."""
    return query.split()

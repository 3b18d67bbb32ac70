"""Languages: English is written in the code, Chinese in `locale/zh_CN/LC_MESSAGES/*.po`, a file an area. UI 9.

The catalogue is compiled in memory when first needed (some ten milliseconds), so that a fresh clone needs no build step and
no compiled file can be older than its source. A test fails on a key that is missing or no longer used.
"""

import gettext
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from taskdash.rules import evidence

LOCALE = Path(__file__).parent.parent / "locale"
CHINESE = LOCALE / "zh_CN" / "LC_MESSAGES"
LANGUAGES = {"zh-CN": "中文", "en": "English"}
_TONGUES = {"zh": "zh-CN", "en": "en"}


def mark(text: str) -> str:
    """Name a text for the catalogue without translating it yet."""
    return text


class Texts:
    """One language: `texts("%(n)s min", n=3)`, and `texts.plural` where the number changes the words."""

    def __init__(self, language: str, catalogue: gettext.NullTranslations) -> None:
        self.language = language
        self.catalogue = catalogue

    def __call__(self, key: str, **values: Any) -> str:
        """The text of `key`, with `%(name)s` filled in."""
        text = self.catalogue.gettext(key)
        return text % values if values else text

    def told(self, sentence: str) -> str:
        """A stored sentence of liveness and incidents, in this language."""
        return evidence.translate(sentence, self.language)

    def plural(self, one: str, many: str, n: int, **values: Any) -> str:
        """The form for `n`, which the text may name as `%(n)s`."""
        return self.catalogue.ngettext(one, many, n) % {"n": f"{n:,}", **values}


@cache
def load(language: str) -> Texts:
    """The texts of one of LANGUAGES."""
    if language == "en":
        return Texts(language, gettext.NullTranslations())
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    whole = Catalog(locale="zh_CN")
    for path in sorted(CHINESE.glob("*.po")):
        with path.open("rb") as source:
            for message in read_po(source, locale="zh_CN"):
                whole.add(message.id, message.string)
    compiled = BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return Texts(language, gettext.GNUTranslations(compiled))


def chosen(cookie: str, setting: str, accept: str) -> str:
    """One of LANGUAGES: the cookie, else the user's setting, else what the browser accepts, else English."""
    for wanted in (cookie, setting, *_accepted(accept)):
        language = _TONGUES.get(wanted.split("-")[0].split("_")[0].lower())
        if language:
            return language
    return "en"


def _accepted(header: str) -> list[str]:
    """The tags of an Accept-Language header, best first."""
    weighed = []
    for part in header.split(",")[:20]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag))
        except ValueError:
            continue
    return [tag for _weight, tag in sorted(weighed, key=lambda each: each[0])]

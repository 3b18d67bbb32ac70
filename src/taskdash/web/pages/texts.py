"""Languages: English is written in the code, Chinese in `locale/zh_CN/LC_MESSAGES/*.po`, a file an area. UI 9.

The catalogue is compiled in memory when first needed (some ten milliseconds), so that a fresh clone needs no build step and
no compiled file can be older than its source. A test fails on a key that is missing or no longer used.
"""

import gettext
import re
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from taskdash.rules import evidence, reading_back, roles

LOCALE = Path(__file__).parent.parent / "locale"
CHINESE = LOCALE / "zh_CN" / "LC_MESSAGES"
REFUSALS = CHINESE / "refusals.po"
"""Its keys are sentences of the code that screens read back: what errors say, and reasons that are stored."""
_MOST_SOURCES = 8
_VALUE = re.compile(r"%\((\w+)\)s")
LANGUAGES = {"zh-CN": "中文", "en": "English"}
_TONGUES = {"zh": "zh-CN", "en": "en"}


def mark(text: str) -> str:
    """Name a text for the catalogue without translating it yet."""
    return text


class Texts:
    """One language: `texts("%(n)s min", n=3)`, and `texts.plural` where the number changes the words."""

    def __init__(
        self,
        language: str,
        catalogue: gettext.NullTranslations,
        told: reading_back.Read = lambda sentence: sentence,
        stored: Callable[[str], list[str]] = lambda _text: [],
    ) -> None:
        self.language = language
        self.catalogue = catalogue
        self.told = told
        """A sentence that TaskDash itself wrote, stored or of an error, in this language."""
        self.stored = stored
        """What stored sentences hold instead of a text that this language's sentences hold."""

    def __call__(self, key: str, **values: Any) -> str:
        """The text of `key`, with `%(name)s` filled in."""
        text = self.catalogue.gettext(key)
        return text % values if values else text

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

    whole, refusals = Catalog(locale="zh_CN"), []
    for path in sorted(CHINESE.glob("*.po")):
        for key, text in _messages(path):
            whole.add(key, text)
            if path == REFUSALS and key:
                refusals.append((_template(str(key)), _template(text.replace("{", "{{").replace("}", "}}"))))
    compiled = BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    catalogue = gettext.GNUTranslations(compiled)
    named = [(role, catalogue.gettext(role)) for role in roles.ROLES]
    stored = list(evidence.TEMPLATES.values())
    return Texts(
        language,
        catalogue,
        reading_back.reader([*stored, *refusals, *named]),
        lambda text: reading_back.sources(stored, text, _MOST_SOURCES),
    )


def _messages(path: Path) -> list[tuple[Any, Any]]:
    """(key, text) of one file."""
    from babel.messages.pofile import read_po

    with path.open("rb") as source:
        return [(message.id, message.string) for message in read_po(source, locale="zh_CN")]


def _template(text: str) -> str:
    return _VALUE.sub(r"{\1}", text)


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

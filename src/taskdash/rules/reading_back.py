"""Sentences that were made from templates, read back and said in another language. Pure.

What is stored, and what errors say, is English; a reader of another language gets the template's other text with the same
facts in it. A text that no template made stays as it is. Facts that are sentences themselves are read back too; names,
reasons and ids are people's own and never are.
"""

import re
from collections.abc import Callable, Iterable

MOST_CHARACTERS = 1_500
"""Longer texts are not read back: the patterns would take too long over a hostile one."""
_NUMBER, _INSTANT = r"[\d,]+", r"[0-9T:.Z-]+"
_PLACES = r"the body|the record|the answer"
_NARROW = {
    "n": _NUMBER,
    "m": _NUMBER,
    "most": _NUMBER,
    "least": _NUMBER,
    "seen": _NUMBER,
    "silent": _NUMBER,
    "all": _NUMBER,
    "at": _INSTANT,
    "since": _INSTANT,
    "started": _INSTANT,
    "field": rf"[\w.\[\]-]+|{_PLACES}",
    "place": _PLACES,
    "kind": r"[a-z]+",
    "got": r"[a-z]+",
}
_PARTS = {"silence", "answer", "error", "gap", "limit", "took", "hold", "offset", "field", "place", "rule", "role", "own"}
_PLACE = re.compile(r"\{(\w+)\}")
Read = Callable[[str], str]


def reader(pairs: Iterable[tuple[str, str]]) -> Read:
    """What reads a sentence back. `pairs`: templates and what to say instead, with the same `{facts}`."""
    # the template with the most words of its own first, because a short one can be read into a long sentence
    templates = sorted(pairs, key=lambda pair: len(_PLACE.sub("", pair[0])), reverse=True)
    patterns = [(_first(template), _pattern(template), other) for template, other in templates]

    def read(sentence: str) -> str:
        if len(sentence) > MOST_CHARACTERS:
            return sentence
        begins = sentence[:1].lower()
        for first, pattern, other in patterns:
            if first in {"", begins} and (found := pattern.fullmatch(sentence)):
                return other.format(
                    **{name: read(text) if name in _PARTS else text for name, text in found.groupdict().items()}
                )
        return sentence

    return read


def sources(pairs: Iterable[tuple[str, str]], text: str, most: int) -> list[str]:
    """What to seek in stored sentences for a text of the other language: of each template that says it, its longest part.

    At most `most`, those whose template has the fewest words first.
    """
    saying = [template for template, other in pairs if any(text in part for part in _PLACE.split(other)[::2])]
    parts = [max(_PLACE.split(template)[::2], key=len).strip() for template in sorted(saying, key=len)]
    return list(dict.fromkeys(part for part in parts if part))[:most]


def _first(template: str) -> str:
    """Its first letter, which may be small or a capital; empty for a fact. Most templates are left aside by it."""
    return "" if _PLACE.match(template) else template[0].lower()


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PLACE.split(template)
    first = parts[0][:1]
    pattern = f"[{re.escape(first.upper())}{re.escape(first.lower())}]" + re.escape(parts[0][1:]) if first else ""
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        pattern += f"(?P<{name}>{_NARROW.get(name, '.*?')})" + re.escape(text)
    return re.compile(pattern, re.DOTALL)

"""Stored sentences in the reader's language, the instants inside them in the reader's time zone. Pure. UI 8.6."""

import re
from datetime import tzinfo

from taskdash.model.instants import Instant, parse_rfc3339
from taskdash.web.pages import times
from taskdash.web.pages.texts import Texts

_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")


def told(texts: Texts, sentence: str, now: Instant, zone: tzinfo) -> str:
    """A sentence that TaskDash itself wrote (what people wrote is left as it is)."""

    def local(found: re.Match[str]) -> str:
        try:
            return times.short(parse_rfc3339(found[0]), now, zone)
        except ValueError:
            return found[0]

    return _INSTANT.sub(local, texts.told(sentence))

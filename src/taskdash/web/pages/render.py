"""Templates to HTML: one environment a language, autoescape on everywhere, no markup from stored text. RELIABILITY R156."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import cache, lru_cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from taskdash.model.instants import SECOND, Instant, to_rfc3339
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.web.pages import links, sheets, static, texts, times, words
from taskdash.web.pages.texts import Texts, mark

_MOST_TEXTS = 2_048
TEMPLATES = Path(__file__).parent.parent / "templates"
THEMES = (("auto", mark("Auto")), ("light", mark("Light")), ("dark", mark("Dark")))
_PLACES = (
    ("/", mark("Now"), "pulse", True),
    ("/tasks", mark("Tasks"), "list", True),
    ("/mine", mark("Mine"), "person", True),
    ("/services", mark("Services"), "grid", True),
    ("/history", mark("History"), "list", False),
)
_ADMIN = ("/admin", mark("Admin"), "list", False)


class Flash(Struct, frozen=True):
    """One sentence to say on the next page; `undo` is the id and version that a release would take back."""

    tone: str
    text: str
    undo: tuple[str, int] | None = None


class View(Struct, frozen=True, kw_only=True):
    """Whose page it is and how they read: all that the layout needs."""

    texts: Texts
    zone: tzinfo
    now: Instant
    theme: str
    here: str
    csrf_token: str
    dense: bool = False
    single_keys: bool = True
    actor: Actor | None = None
    away_until: Instant | None = None
    must_change: bool = False
    unacknowledged: int = 0
    flash: Flash | None = None
    seq: int = 0
    """The newest event when the page was made: its stream goes on from there."""


class Place(Struct, frozen=True):
    """One entry of the top bar; `tab`: also at the bottom of a phone."""

    href: str
    text: str
    icon: str
    tab: bool
    current: bool
    badge: int


@cache
def environment(language: str) -> Environment:
    """The templates in one language."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    install: Any = made
    catalogue = texts.load(language).catalogue
    install.install_gettext_translations(catalogue, newstyle=True)
    made.globals.update(static=static.href, host=links.host, iso=to_rfc3339, languages=texts.LANGUAGES, themes=THEMES)
    made.globals["_"] = _translator(catalogue)
    return made


def _translator(catalogue: NullTranslations) -> Callable[..., Markup]:
    """What `_` of the extension says, which finds its way there through the page's context at each word: a tenth of a board."""

    @lru_cache(_MOST_TEXTS)
    def known(text: str) -> Markup:
        return Markup(catalogue.gettext(text))  # noqa: S704  (a text of ours; the values are escaped)

    def translated(text: str, **values: Any) -> Markup:
        return known(text) % values

    return translated


def page(template: str, view: View, values: Mapping[str, Any]) -> str:
    """The whole page as HTML."""
    return (
        environment(view.texts.language)
        .get_template(template)
        .render(sheet=f"{sheets.of_template(template)}.css", **_layout(view), **values)
    )


def _layout(view: View) -> dict[str, Any]:
    actor = view.actor
    return {
        "language": view.texts.language,
        "theme": view.theme,
        "here": view.here,
        "now": view.now,
        "csrf_token": view.csrf_token,
        "me": actor,
        "role_word": words.ROLES[actor.role] if actor else "",
        "role_words": words.ROLES,
        "must_change": view.must_change,
        "flash": view.flash,
        "places": [_place(view, *place) for place in _places(actor)],
        "dense": view.dense,
        "single_keys": view.single_keys,
        "away_until": view.away_until,
        "ago": lambda at: times.ago(view.texts, at, view.now),
        "exact": lambda at: times.exact(at, view.zone),
        "short": lambda at: times.short(at, view.now, view.zone),
        "span": lambda at: times.span(view.texts, at, view.now),
        "alarming": lambda at: times.alarming(view.texts, at, view.now),
        "now_ms": view.now * 1_000 // SECOND,
        "seq": view.seq,
        "zone_minutes": times.zone_minutes(view.now, view.zone),
        "script_words": script_words(view.texts.language),
        "clock": lambda at: times.clock(at, view.zone),
    }


def _places(actor: Actor | None) -> tuple[tuple[str, str, str, bool], ...]:
    return (*_PLACES, _ADMIN) if actor and roles.may(actor, "see_accounts") else _PLACES


def _place(view: View, href: str, text: str, icon: str, tab: bool) -> Place:
    badge = view.unacknowledged if href == "/" else 0
    return Place(href, text, icon, tab, _is_here(view.here, href), badge)


def _is_here(here: str, href: str) -> bool:
    path = here.partition("?")[0]
    return path == href or (href != "/" and path.startswith(href + "/"))


@cache
def script_words(language: str) -> str:
    """The words that scripts say, as JSON; the keys are theirs."""
    catalogue = texts.load(language)
    return msgspec.json.encode({key: catalogue(text) for key, text in words.SCRIPT.items()}).decode()

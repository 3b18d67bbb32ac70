"""A service as a row, and as a page's sentences. Pure: records in, words out. UI 6 (Services, Service)."""

from typing import Any

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules import beat_strip
from taskdash.web.pages import links, times, words
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import Texts
from taskdash.web.pages.words import Word

_STRIP_TONES = {"late": "w", "unknown": "u"}
_QUIET = {"up"}


class ServiceRow(Struct, frozen=True, kw_only=True):
    """What the list and the page show of a service."""

    id: str
    href: str
    name: str
    type: str
    url: str
    description: str
    state: str
    word: Word
    quiet: bool
    archived: bool
    flapping: bool
    evidence: str
    last_known: str
    last_known_word: Word
    pause_text: str
    beats: list[bool | None]
    beats_text: str
    strip_tone: str
    last_beat_at: Instant | None
    last_tone: str
    collect_text: str
    collect_long: str
    collect_title: str
    collect_tone: str
    tasks: str
    tasks_href: str
    note: str
    note_tone: str


def service_row(view: View, service: Service) -> ServiceRow:
    """The row of one service, as of the view's now."""
    word = words.word(words.STATES, service.state)
    note, note_tone = _note(view, service)
    collect_text, collect_tone = _collect(view.texts, service)
    beats = beat_strip.shown(service, view.now) if service.last_beat_at is not None and service.interval_s else []
    return ServiceRow(
        id=service.id,
        href=links.service(service.id),
        name=service.name,
        type=service.type,
        url=service.url,
        description=service.description,
        state=service.state,
        word=word,
        quiet=service.state in _QUIET,
        archived=service.archived_at is not None,
        flapping=service.flapping,
        evidence=view.texts.told(service.evidence),
        last_known=service.last_known,
        last_known_word=words.word(words.STATES, service.last_known),
        pause_text=_pause(view, service),
        beats=beats,
        beats_text=_beats_text(view.texts, service, beats),
        strip_tone=_STRIP_TONES.get(service.state, "n"),
        last_beat_at=service.last_beat_at,
        last_tone=word.tone if service.state in {"late", "down"} else "mu",
        collect_text=collect_text,
        collect_long=service.collect_error or collect_text,
        collect_title=service.collect_error,
        collect_tone=collect_tone,
        tasks=f"{service.task_total:,}" if service.task_total else "",
        tasks_href=links.with_query("/tasks", [("service", service.id)]),
        note=note,
        note_tone=note_tone,
    )


def _beats_text(texts: Texts, service: Service, beats: list[bool | None]) -> str:
    """What the strip shows, in words."""
    if not service.interval_s:
        return texts("no beats expected, judged by its url alone")
    if service.last_beat_at is None:
        return texts("waiting for the first beat")
    came, known = sum(1 for beat in beats if beat), sum(1 for beat in beats if beat is not None)
    return texts("%(came)s of the last %(known)s intervals had a beat", came=came, known=known)


def _collect(texts: Texts, service: Service) -> tuple[str, str]:
    """(text, tone) of how asking the url went last."""
    if not service.url:
        return texts("no url"), "mu"
    if service.collect_ok is None:
        return texts("not asked yet"), "mu"
    if not service.collect_ok:
        short = service.collect_error if len(service.collect_error) <= 40 else service.collect_error[:39] + "…"
        return short or texts("failed"), "er"
    took = "" if service.collect_took_ms is None else f"{service.collect_took_ms:.0f} ms"
    return took or texts("answered"), ""


def _note(view: View, service: Service) -> tuple[str, str]:
    """The one thing worth saying about it, and its tone."""
    if service.state == "paused":
        return _pause(view, service), "mu"
    if service.state in {"late", "unknown"}:
        return view.texts.told(service.evidence), words.STATES[service.state].tone
    if service.flapping:
        return view.texts("flapping"), "wa"
    if service.collect_problems:
        return view.texts.plural("%(n)s problem", "%(n)s problems", len(service.collect_problems)), "wa"
    return (view.texts.told(service.evidence), "er") if service.state == "down" else ("", "")


def _pause(view: View, service: Service) -> str:
    if service.state != "paused":
        return ""
    until = times.short(service.paused_until, view.now, view.zone) if service.paused_until else ""
    parts = [service.pause_reason, view.texts("until %(time)s", time=until) if until else "", service.paused_by]
    return " · ".join(part for part in parts if part)


def page_values(view: View, service: Service) -> dict[str, Any]:
    """What only the page of one service says."""
    texts, row = view.texts, service_row(view, service)
    return {
        "row": row,
        "card": {"down": "bad", "late": "watch", "unknown": "blind"}.get(service.state, ""),
        "since_text": times.alarming(texts, service.since, view.now),
        "rule_text": _rule(texts, service),
        "interval_text": texts("every %(n)s s", n=_plain(service.interval_s)) if service.interval_s else "",
        "collect_since": service.collect_error_at if service.collect_error else None,
        "collected_at": service.collected_at,
        "collect_ok_at": service.collect_ok_at,
        "collect_at": service.collect_at,
        "method": service.method,
        "registered_at": service.registered_at,
        "reserved": service.reserved,
    }


def _rule(texts: Texts, service: Service) -> str:
    if not service.interval_s:
        return texts("It sends no beats; only its url is judged.")
    return texts(
        "Late after 2 intervals of %(n)s s without a beat, down after 3 when its url does not answer either.",
        n=_plain(service.interval_s),
    )


def _plain(number: float) -> str:
    return f"{number:g}"

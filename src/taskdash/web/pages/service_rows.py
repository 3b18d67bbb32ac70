"""A service as a row, and as a page's sentences. Pure: records in, words out. UI 6 (Services, Service)."""

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules import beat_strip
from taskdash.rules.deadlines import heard_at, next_deadlines
from taskdash.store.service_tasks import TaskCount
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
    first_ask_at: Instant | None
    """It is asked for the first time then, so long from now."""
    first_ask_text: str
    tasks: str
    tasks_href: str
    at_risk: str
    at_risk_href: str
    note: str
    note_tone: str


def service_row(view: View, service: Service, counted: TaskCount | None = None, clashes: int = 0) -> ServiceRow:
    """The row of one service, as of the view's now. `counted`: the tasks that this person sees, `clashes`: ids in dispute."""
    word = words.word(words.STATES, service.state)
    note, note_tone = _note(view, service, clashes)
    counted = counted or TaskCount(service.task_total, 0)
    first_ask_at = service.collect_at if service.url and service.collect_ok is None else None
    at_risk = view.texts.plural("%(n)s at risk", "%(n)s at risk", counted.at_risk) if counted.at_risk else ""
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
        collect_long=view.texts.told(service.collect_error) or collect_text,
        collect_title=view.texts.told(service.collect_error),
        collect_tone=collect_tone,
        first_ask_at=first_ask_at,
        first_ask_text=times.span(view.texts, view.now, first_ask_at) if first_ask_at else "",
        tasks=f"{counted.total:,}" if counted.total else "",
        tasks_href=links.with_query("/tasks", [("service", service.id)]),
        at_risk=at_risk,
        at_risk_href=links.with_query("/tasks", [("service", service.id), ("at_risk", "true")]),
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
        return _failed(texts, service), "er"
    took = "" if service.collect_took_ms is None else f"{service.collect_took_ms:.0f} ms"
    return took or texts("answered"), ""


def _failed(texts: Texts, service: Service) -> str:
    error = texts.told(service.collect_error) or texts("failed")
    short = error if len(error) <= 40 else error[:39] + "…"
    if service.collect_failures < 2:
        return short
    return texts("%(error)s · %(n)s times", error=short, n=service.collect_failures)


def _note(view: View, service: Service, clashes: int) -> tuple[str, str]:
    """The one thing worth saying about it, and its tone."""
    texts = view.texts
    if service.state == "paused":
        return _pause(view, service), "mu"
    if service.state in {"late", "unknown"}:
        return _verdict(view, service), words.STATES[service.state].tone
    if service.flapping:
        return texts.plural("flapping, %(n)s change", "flapping, %(n)s changes", max(1, len(service.flaps))), "wa"
    if clashes:
        return texts.plural("%(n)s id clash", "%(n)s id clashes", clashes), "wa"
    if service.collect_problems:
        return texts.plural("%(n)s problem", "%(n)s problems", len(service.collect_problems)), "wa"
    if service.state == "down":
        return texts("url does not answer either") if service.url else texts("it has no url to ask"), "er"
    return ("", "")


def _verdict(view: View, service: Service) -> str:
    """What is known of one that is late or unknown, and when more will be."""
    texts = view.texts
    if service.state == "unknown":
        reasons = {
            "startup": texts("TaskDash has only just started"),
            "input": texts("its input cannot be heard"),
            "mass": texts("many fell silent at once"),
        }
        return reasons.get(service.reason, view.texts.told(service.evidence))
    if not service.interval_s:
        return texts("its url has not answered lately")
    down_at = next_deadlines(heard_at(service), service.interval_s).down_at
    if view.now < down_at:
        return texts("verdict at %(time)s", time=times.clock(down_at, view.zone))
    return texts("no beat, but its url answers")


def _pause(view: View, service: Service) -> str:
    if service.state != "paused":
        return ""
    until = times.short(service.paused_until, view.now, view.zone) if service.paused_until else ""
    parts = [service.pause_reason, view.texts("until %(time)s", time=until) if until else "", service.paused_by]
    return " · ".join(part for part in parts if part)

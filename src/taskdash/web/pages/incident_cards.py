"""An incident in words: what, since when, the evidence, who looks after it, what it affects, what to do. Pure. UI 6 (Now)."""

from msgspec import Struct

from taskdash.model.instants import Instant, seconds, to_rfc3339
from taskdash.model.records import Incident
from taskdash.rules import roles
from taskdash.rules.deadlines import Limits
from taskdash.rules.transitions import quiet_at
from taskdash.web.pages import links, times, words
from taskdash.web.pages.render import View
from taskdash.web.pages.situation import Affected
from taskdash.web.pages.told import told
from taskdash.web.pages.words import Word

NAMED = 100
"""So many services of one incident are named."""
_MOST_IN_LINK = 50


class Number(Struct, frozen=True):
    """A number in words, and where exactly its rows are; no link: they are too many to name."""

    text: str
    href: str = ""


class Card(Struct, frozen=True, kw_only=True):
    """One incident for a template."""

    id: str
    word: Word
    sentence: str
    evidence: str
    since: Instant
    is_open: bool
    acknowledged: str
    effects: list[Number]
    next: str
    services: list[dict[str, str]]
    services_text: str
    more: str
    claim_text: str
    open_text: str
    open_href: str
    may_acknowledge: bool


def card(view: View, each: Affected, limits: Limits) -> Card:
    """The card of one incident."""
    incident, texts = each.incident, view.texts
    many = incident.services if len(incident.services) > 1 else ()
    open_text, open_href = _opened(view, incident)
    claims = texts.plural("Claim %(n)s task", "Claim %(n)s tasks", each.claimable) if each.claimable else ""
    return Card(
        id=incident.id,
        word=words.word(words.INCIDENTS, incident.kind),
        sentence=sentence(view, incident),
        evidence=told(texts, incident.evidence, view.now, view.zone),
        since=incident.opened_at,
        is_open=incident.state == "open",
        acknowledged=acknowledged(view, incident),
        effects=effects(view, each),
        next=_next(view, each, limits),
        services=[{"id": key, "href": links.service(key)} for key in many[:NAMED]],
        services_text=texts.plural("%(n)s service", "%(n)s services", len(many)),
        more=texts("and %(n)s more", n=f"{len(many) - NAMED:,}") if len(many) > NAMED else "",
        claim_text=claims,
        open_text=open_text,
        open_href=open_href,
        may_acknowledge=incident.state == "open" and view.actor is not None and roles.may(view.actor, "acknowledge"),
    )


def letters_since(at: Instant) -> str:
    """The dead letters from then on."""
    return links.with_query("/admin/dead-letters", [("since", to_rfc3339(at))])


def sentence(view: View, incident: Incident) -> str:
    """Subject and state, without a full stop: the time follows."""
    return view.texts.told(incident.sentence).rstrip(".。")


def acknowledged(view: View, incident: Incident) -> str:
    """Who looks after it since when; empty when nobody does."""
    if incident.state == "open" or incident.acknowledged_at is None:
        return ""
    at = times.short(incident.acknowledged_at, view.now, view.zone)
    return view.texts("Acknowledged by %(who)s at %(time)s", who=incident.acknowledged_by, time=at)


def effects(view: View, each: Affected) -> list[Number]:
    """How many tasks it affects, and how many of them nobody holds or are stale."""
    texts, found = view.texts, []
    if each.letters:
        messages = texts.plural("%(n)s message", "%(n)s messages", len(each.letters))
        found.append(Number(messages, letters_since(each.incident.opened_at)))
    if each.tasks:
        affected = texts.plural("%(n)s task affected", "%(n)s tasks affected", each.tasks)
        found.append(Number(affected, _rows(each)))
    if each.unowned:
        nobodys = texts.plural("%(n)s unowned", "%(n)s unowned", each.unowned)
        found.append(Number(nobodys, _rows(each, ("user", "none"))))
    if each.stale and each.stale == each.tasks:
        found.append(Number(texts("all stale"), _rows(each, ("stale", "true"))))
    elif each.stale:
        found.append(Number(texts.plural("%(n)s stale", "%(n)s stale", each.stale), _rows(each, ("stale", "true"))))
    return found


def _rows(each: Affected, *narrowed: tuple[str, str]) -> str:
    services = each.incident.services
    if len(services) > _MOST_IN_LINK:
        return ""
    return links.with_query("/tasks", [*(("service", key) for key in services), *narrowed])


def _next(view: View, each: Affected, limits: Limits) -> str:
    """What happens if nobody does anything: another reminder, or its end."""
    incident, texts = each.incident, view.texts
    if incident.state == "open" and incident.next_reminder_at:
        return texts("reminder at %(time)s", time=times.short(incident.next_reminder_at, view.now, view.zone))
    quiet = quiet_at(each.service, limits) if incident.kind == "flapping" and each.service else None
    if each.letters:
        quiet = each.letters[-1] + seconds(limits.quiet_s)
    if quiet is None or quiet <= view.now:
        return ""
    return texts("ends at %(time)s if it stays quiet", time=times.short(quiet, view.now, view.zone))


def _opened(view: View, incident: Incident) -> tuple[str, str]:
    """(label, address) of where one looks further."""
    if incident.kind == "dead_letters":
        return view.texts("See letters"), letters_since(incident.opened_at)
    if len(incident.services) == 1:
        return view.texts("Open"), links.service(incident.services[0])
    return view.texts("History"), links.history("incident", incident.id)

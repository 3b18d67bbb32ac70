"""What the wall says, from the situation that Now shows too: the largest incident, the next three, a tile for each of the
rest. UI 6 (Wall).
"""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules import roles
from taskdash.store import loads, service_page
from taskdash.store.service_page import ServiceFilters
from taskdash.store.task_page import CAP
from taskdash.web.context import Web
from taskdash.web.hearing import inputs_of
from taskdash.web.pages import incident_cards, situation, times, wall_tiles, watching, words
from taskdash.web.pages.board import capped
from taskdash.web.pages.lanes import BAD
from taskdash.web.pages.render import View
from taskdash.web.pages.situation import Affected, Reader, Situation
from taskdash.web.pages.told import told
from taskdash.web.pages.wall_tiles import Tile
from taskdash.web.pages.words import Word

_STACK, _MOST_NAMES = 3, 12
_GRAVE = ("store", "input", "down")
"""Kinds of incident that outrank others of the same urgency."""


class Seen(Struct, frozen=True):
    """What the wall is made of. `duty`: who is there, by name."""

    situation: Situation
    services: list[Service]
    duty: list[str]


class Item(Struct, frozen=True, kw_only=True):
    """One of the next things to look at."""

    word: Word
    name: str
    since: Instant
    line: str
    key: str


def read(conn: Connection, reader: Reader) -> Seen:
    """All of it, as the reader may see it."""
    seen = situation.read(conn, reader)
    wanted = ServiceFilters(visible_to=reader.restriction)
    limit = wall_tiles.MOST_SINGLE
    if seen.services >= limit:
        wanted, limit = ServiceFilters(state=BAD, visible_to=reader.restriction), wall_tiles.MOST_BAD
    return Seen(seen, service_page.page(conn, wanted, limit).services, _duty(conn, reader))


def _duty(conn: Connection, reader: Reader) -> list[str]:
    if not roles.sees_everything(reader.actor, reader.visibility):
        return []
    found = [load.user for load in loads.people(conn, reader.now)]
    return sorted(user.name for user in found if user.away_until is None or user.away_until <= reader.now)


def values(view: View, seen: Seen, web: Web) -> dict[str, Any]:
    """All that the template shows."""
    ranked = sorted(seen.situation.incidents, key=_rank)
    stack = [_of_incident(view, each) for each in ranked[1 : 1 + _STACK]]
    watched = seen.situation.watched[: _STACK - len(stack)]
    alone = {each.incident.services[0] for each in ranked[: 1 + _STACK] if len(each.incident.services) == 1}
    tiles = _tiles(view, seen, alone | {service.id for service in watched}, web)
    return {
        **_head(view, seen.situation),
        "big": _big(view, ranked[0]) if ranked else None,
        "stack": [*stack, *(_of_watched(view, each, web) for each in watched)],
        "tiles": tiles,
        "columns": wall_tiles.columns(len(tiles)),
        "density": wall_tiles.density(len(tiles)),
        "duty": _duty_text(view, seen.duty),
        "refused": "",
    }


def _duty_text(view: View, names: list[str]) -> str:
    if not names:
        return ""
    more = [view.texts("and %(n)s more", n=len(names) - _MOST_NAMES)] if len(names) > _MOST_NAMES else []
    return view.texts("On duty: %(names)s", names=", ".join([*names[:_MOST_NAMES], *more]))


def _rank(each: Affected) -> tuple[bool, bool, int, int]:
    """Not acknowledged, grave, many tasks, long ago."""
    incident = each.incident
    return (incident.state != "open", incident.kind not in _GRAVE, -each.tasks, incident.opened_at)


def _head(view: View, told_: Situation) -> dict[str, Any]:
    texts, wrong, counts = view.texts, told_.wrong, told_.counts
    unseen = told_.unacknowledged
    totals = [
        texts.plural("%(n)s not acknowledged", "%(n)s not acknowledged", unseen) if unseen else "",
        capped(counts.at_risk, texts.plural("%(n)s task at risk", "%(n)s tasks at risk", min(counts.at_risk, CAP))),
        capped(counts.unowned, texts.plural("%(n)s unowned", "%(n)s unowned", min(counts.unowned, CAP))),
        texts.plural("%(n)s service", "%(n)s services", told_.services),
    ]
    if wrong:
        headline, tone = texts.plural("%(n)s thing is wrong", "%(n)s things are wrong", wrong), "er"
    elif told_.watched or counts.at_risk:
        headline, tone = texts("No incident is open"), "wa"
    else:
        headline, tone = texts("All well"), "ok"
    return {"headline": headline, "tone": tone, "totals": " · ".join(text for text in totals if text)}


def _big(view: View, each: Affected) -> dict[str, Any]:
    incident, texts = each.incident, view.texts
    since = texts("since %(time)s", time=times.short(incident.opened_at, view.now, view.zone))
    parts = [told(texts, incident.evidence, view.now, view.zone).rstrip(".。"), since, _looked_after(view, each)]
    return {
        "word": words.word(words.INCIDENTS, incident.kind),
        "sentence": incident_cards.sentence(view, incident),
        "since": incident.opened_at,
        "line": " · ".join(part for part in parts if part),
        "unowned": f"{each.unowned:,}",
        "tasks": f"{each.tasks:,}",
        "has_tasks": bool(incident.services),
    }


def _looked_after(view: View, each: Affected) -> str:
    return incident_cards.acknowledged(view, each.incident) or view.texts("Not acknowledged")


def _of_incident(view: View, each: Affected) -> Item:
    texts, who = view.texts, each.incident.acknowledged_by
    tasks = texts.plural("%(n)s task", "%(n)s tasks", each.tasks) if each.tasks else ""
    looked_after = texts("%(who)s acknowledged it", who=who) if who else texts("Not acknowledged")
    return Item(
        word=words.word(words.INCIDENTS, each.incident.kind),
        name=_short_name(view, each),
        since=each.incident.opened_at,
        line=" · ".join(part for part in (tasks, looked_after) if part),
        key=each.incident.id,
    )


def _short_name(view: View, each: Affected) -> str:
    """The kind stands beside it, so the service's name or the number of messages is enough."""
    if each.service:
        return each.service.name or each.service.id
    if n := len(each.letters):
        return view.texts.plural("%(n)s message not understood", "%(n)s messages not understood", n)
    return incident_cards.sentence(view, each.incident)


def _of_watched(view: View, service: Service, web: Web) -> Item:
    row, texts = watching.watched(view, service, inputs_of(web).values(), web.limits), view.texts
    tasks = texts.plural("%(n)s task", "%(n)s tasks", row.tasks) if row.tasks else ""
    line = " · ".join(part for part in (row.verdict, tasks) if part)
    return Item(word=row.word, name=row.name, since=row.since, line=line, key=f"w-{row.id}")


def _tiles(view: View, seen: Seen, told_already: set[str], web: Web) -> list[Tile]:
    tiles = wall_tiles.of_services(view.texts, seen.services, told_already, view.now)
    if seen.situation.services >= wall_tiles.MOST_SINGLE:
        tiles += wall_tiles.of_states(seen.situation.states)
    return [*tiles, *wall_tiles.of_inputs(view.texts, list(inputs_of(web).values()), view.now)]

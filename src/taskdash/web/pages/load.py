"""People to choose from, each with what they hold and would hold: a bar and two numbers. Pure. UI 6 (Assign, Hand over)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from taskdash.store.loads import Load
from taskdash.web.pages import links, task_day
from taskdash.web.pages.render import View


class Person(Struct, frozen=True, kw_only=True):
    """One line of the picker. `held` and `added`: lengths of the bar in per cent; `outside`: what to know before choosing."""

    name: str
    groups: str
    text: str
    now: str
    after: str
    held: float
    added: float
    away: bool
    chosen: bool
    outside: str = ""


class OnDuty(NamedTuple):
    """Somebody who is there, and how many tasks they hold."""

    name: str
    held: int
    href: str


def people(
    view: View, found: Sequence[Load], adds: int, *, theirs: Mapping[str, int], groups: Mapping[str, int], chosen: str
) -> list[Person]:
    """`adds`: how many tasks are given; `theirs`: how many of them each holds already; `groups`: how many are of each group."""
    most = max([1, *(load.held + adds for load in found)])
    return [_person(view, load, adds - theirs.get(load.user.name, 0), most, groups, chosen) for load in found]


def on_duty(found: Sequence[Load], *, linked: bool) -> list[OnDuty]:
    """Who of a group is there. `linked`: the reader sees all that is counted, so that the number leads to it."""
    return [
        OnDuty(load.user.name, load.held, links.with_query("/tasks", [("user", load.user.name)]) if linked else "")
        for load in found
    ]


def _person(view: View, load: Load, added: int, most: int, groups: Mapping[str, int], chosen: str) -> Person:
    texts, user, name = view.texts, load.user, load.user.name
    away = user.away_until is not None and user.away_until > view.now
    now = texts.plural("%(n)s task", "%(n)s tasks", load.held)
    you = texts("%(load)s · you", load=now) if view.actor and view.actor.id == name else now
    shown = texts("away, not now") if away else you
    outside = _outside(view, load, groups)
    return Person(
        name=name,
        groups=" · ".join(user.groups),
        text=" · ".join(part for part in (name, *user.groups, shown, outside) if part),
        now=shown,
        after=texts("%(before)s → %(after)s tasks", before=load.held, after=load.held + added),
        held=round(100 * load.held / most, 2),
        added=round(100 * added / most, 2),
        away=away,
        chosen=name == chosen and not away,
        outside=outside,
    )


def _outside(view: View, load: Load, groups: Mapping[str, int]) -> str:
    """Which tasks belong to groups that this person is not in."""
    texts = view.texts
    foreign = {group: n for group, n in groups.items() if group and group not in load.user.groups}
    if not foreign:
        return ""
    told, n, plural = task_day.listed(texts, sorted(foreign)), sum(foreign.values()), texts.plural
    return plural(
        "%(who)s is not in %(groups)s: %(n)s task keeps its group and is theirs",
        "%(who)s is not in %(groups)s: %(n)s tasks keep their group and are theirs",
        n,
        who=load.user.name,
        groups=told,
    )

"""When a shift ends: what a form offers, and what it sent. Pure. UI 6 (Assign, Mine, Hand over)."""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from taskdash.model.instants import Instant, from_datetime, to_datetime
from taskdash.web.pages.claiming import Fields, first, local_instant
from taskdash.web.pages.render import View

KEEP, NEVER, OTHER = "=", "none", "other"
_EVENING = time(18)


class End(NamedTuple):
    """One choice: what the form sends, and what people read."""

    value: str
    text: str


def ends(view: View, *, keep: bool = True, never: bool = True, evening: bool = True) -> list[End]:
    """The next 18:00, tomorrow 09:00, another time; before them, if wanted, as it is, and after them none."""
    today = to_datetime(view.now).astimezone(view.zone).date()
    return [
        *([End(KEEP, view.texts("leave as it is"))] if keep else []),
        *([_evening(view, today)] if evening else []),
        End(f"{today + timedelta(days=1)}T09:00", view.texts("tomorrow %(time)s", time="09:00")),
        *([End(NEVER, view.texts("no end"))] if never else []),
        End(OTHER, view.texts("another time…")),
    ]


def _evening(view: View, today: date) -> End:
    if from_datetime(datetime.combine(today, _EVENING, view.zone)) > view.now:
        return End(f"{today}T18:00", view.texts("today %(time)s", time="18:00"))
    return End(f"{today + timedelta(days=1)}T18:00", view.texts("tomorrow %(time)s", time="18:00"))


def wished(view: View, fields: Fields) -> Instant | UnsetType | None:
    """What was chosen: as it is (UNSET), none, or an instant. Raises BadField."""
    end = first(fields, "end", KEEP)
    if end in {KEEP, NEVER}:
        return UNSET if end == KEEP else None
    return local_instant(first(fields, "until") if end == OTHER else end, view.zone)

"""The last 30 minutes, a lane each: how a service's states followed one another, rebuilt from its events. Pure. UI 6 (Now).

Height and outline tell a state as well as its colour: down is tall, late is low, unknown a dashed outline. Where nothing is
known (before the first event that is read, before a service existed) nothing is drawn.
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Event, Incident, Service
from taskdash.web.pages import links, times, words
from taskdash.web.pages.texts import Texts, mark

WINDOW = seconds(1_800)
WIDTH, _MIDDLE = 600, 12
BAD = ("down", "late", "unknown")
LOST = "lost"
"""The state of an input that cannot be heard; drawn as unknown."""
_HEIGHTS = {"down": 12, "late": 6, "unknown": 10, LOST: 10}
_CALM = 2
_NARROWEST = 3.0
"""However short, trouble stays visible."""
_TICKS = 3


class Stretch(NamedTuple):
    """One state, from when to when."""

    state: str
    began: Instant
    ended: Instant


class Mark(NamedTuple):
    """A rectangle of the picture; `state` is its class."""

    state: str
    x: float
    y: float
    width: float
    height: float


class Lane(NamedTuple):
    """One row: whose, the picture, what it says, and the state in words."""

    name: str
    href: str
    marks: list[Mark]
    sentence: str
    text: str
    since: Instant | None = None
    tone: str = "mu"
    text_href: str = ""


class Frame(NamedTuple):
    """From when to when, and how its times are read. `known_from`: the events before it were not read."""

    texts: Texts
    zone: tzinfo
    now: Instant
    known_from: Instant

    @property
    def start(self) -> Instant:
        """Where the picture begins."""
        return self.now - WINDOW


def stretches(service: Service, events: Iterable[Event], frame: Frame) -> list[Stretch]:
    """The states of a service in the window, oldest first. `events`: its changes of state in the window, oldest first."""
    began = max(frame.known_from, frame.start, min(service.created_at, service.registered_at))
    told = [event for event in events if "state" in event.after and event.at >= began]
    if not told:
        return _cut([Stretch(service.state, max(began, service.since), frame.now)])
    found, state = [], str(told[0].before.get("state", ""))
    for event in told:
        found.append(Stretch(state, began, event.at))
        state, began = str(event.after["state"]), event.at
    if state != service.state and service.since >= began:
        found.append(Stretch(state, began, service.since))
        state, began = service.state, service.since
    return _cut([*found, Stretch(state, began, frame.now)])


def _cut(found: Iterable[Stretch]) -> list[Stretch]:
    return [each for each in found if each.state and each.ended > each.began]


def lost_stretches(incidents: Iterable[Incident], frame: Frame) -> list[Stretch]:
    """When an input could not be heard, with the time between; overlapping losses are one."""
    found: list[Stretch] = []
    free_from = frame.start
    spans = sorted((max(frame.start, i.opened_at), i.resolved_at or frame.now) for i in incidents)
    for began, ended in spans:
        if ended > free_from:
            found += [Stretch("up", free_from, began), Stretch(LOST, max(began, free_from), ended)]
            free_from = ended
    return _cut([*found, Stretch("up", free_from, frame.now)])


def marks(found: Iterable[Stretch], frame: Frame) -> list[Mark]:
    """The rectangles of these stretches."""
    return [_mark(each, frame) for each in found]


def _mark(stretch: Stretch, frame: Frame) -> Mark:
    height = _HEIGHTS.get(stretch.state, _CALM)
    x, end = _x(stretch.began, frame), _x(stretch.ended, frame)
    width = max(_NARROWEST if height > _CALM else 0.0, end - x)
    return Mark(stretch.state, round(min(x, WIDTH - width), 1), _MIDDLE - height / 2, round(width, 1), height)


def _x(at: Instant, frame: Frame) -> float:
    return min(1.0, max(0.0, (at - frame.start) / WINDOW)) * WIDTH


def ticks(at: Iterable[Instant], frame: Frame) -> list[Mark]:
    """One narrow mark each, over a calm line."""
    line = Mark("up", 0, _MIDDLE - _CALM / 2, WIDTH, _CALM)
    return [line, *(Mark("letter", round(min(_x(each, frame), WIDTH - _TICKS), 1), 8, _TICKS, 8) for each in at)]


def axis(frame: Frame) -> list[str]:
    """The times under the picture, ten minutes apart."""
    return [times.minute(frame.start + WINDOW * part // 3, frame.zone) for part in range(4)]


def of_service(service: Service, events: Sequence[Event], frame: Frame) -> Lane:
    """The lane of a service that was or is in trouble."""
    name, found, word = service.name or service.id, stretches(service, events, frame), words.word(words.STATES, service.state)
    texts, calm = frame.texts, service.state not in BAD
    flaps = service.flapping and calm
    return Lane(
        name=name,
        href=links.service(service.id),
        marks=marks(found, frame),
        sentence=told(name, found, frame),
        text=texts("flapping, %(state)s", state=texts(word.text).lower()) if flaps else texts(word.text),
        since=None if flaps else service.since,
        tone="mu" if calm else word.tone,
    )


def told(name: str, found: Sequence[Stretch], frame: Frame) -> str:
    """What the picture shows, as a sentence."""
    texts = frame.texts
    parts = [
        texts("%(state)s from %(time)s", state=texts(_word(each.state)).lower(), time=times.clock(each.began, frame.zone))
        for each in found
    ]
    return texts("%(name)s: %(states)s", name=name, states=", ".join(parts) or texts("nothing is known"))


def _word(state: str) -> str:
    return mark("lost") if state == LOST else words.word(words.STATES, state).text


def of_input(lost: Sequence[Incident], frame: Frame) -> Lane:
    """One lane for all inputs. `lost`: the incidents of inputs that overlap the window."""
    texts, found = frame.texts, lost_stretches(lost, frame)
    causes = {incident.cause for incident in lost}
    name = texts("Input %(name)s", name=causes.pop()) if len(causes) == 1 else texts("Input")
    gaps = [each for each in found if each.state == LOST]
    is_lost = bool(gaps) and gaps[-1].ended == frame.now
    text = texts("lost") if is_lost else texts("back") if gaps else texts("no change")
    since = (gaps[-1].began if is_lost else gaps[-1].ended) if gaps else None
    return Lane(name, "", marks(found, frame), told(name, found, frame), text, since, "un" if is_lost else "mu")


def of_letters(at: Sequence[Instant], frame: Frame, href: str) -> Lane:
    """One lane for messages that nobody could read."""
    texts, n = frame.texts, len(at)
    text = texts.plural("%(n)s message", "%(n)s messages", n) if n else texts("none")
    name = texts("Dead letters")
    sentence = texts("%(name)s: %(states)s", name=name, states=text)
    return Lane(name, "", ticks(at, frame), sentence, text, None, "wa" if n else "mu", href if n else "")


def of_others(count: int, changed: int, frame: Frame) -> Lane:
    """One lane for all services that have none of their own; `changed`: how many of them were in trouble too."""
    texts = frame.texts
    name = texts("Other %(n)s", n=f"{count:,}")
    text = texts.plural("%(n)s changed", "%(n)s changed", changed) if changed else texts("no change")
    return Lane(name, "/services", ticks((), frame), texts("%(name)s: %(states)s", name=name, states=text), text)

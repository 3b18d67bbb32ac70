"""The tiles of the wall: which, in how many columns. Pure. UI 6 (Wall)."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from taskdash.model.instants import Instant
from taskdash.model.records import Service
from taskdash.rules import beat_strip
from taskdash.rules.sight import Source
from taskdash.web.pages import times, words
from taskdash.web.pages.lanes import BAD
from taskdash.web.pages.texts import Texts, mark
from taskdash.web.pages.words import Word

MOST_SINGLE = 60
"""From so many services on, only the bad ones have a tile, and each state its number."""
MOST_BAD = 40
FEWEST_COLUMNS, MOST_COLUMNS = 4, 8
_STRIPS = {"late": "w", "unknown": "u"}
_CONNECTED = Word("ok", "disc", mark("Connected"))
_LOST = Word("un", "diamond", mark("Input lost"))


class Tile(Struct, frozen=True, kw_only=True):
    """One service, one state with its number, or the inputs."""

    name: str
    word: Word
    side: str = ""
    flapping: bool = False
    beats: list[bool | None] = []
    beats_text: str = ""
    strip_tone: str = "n"
    is_number: bool = False
    is_service: bool = False
    key: str = ""


def columns(count: int) -> int:
    """From 4 to 8, those that leave the fewest gaps; then rather two rows than one, then rather wide than high."""
    if not count:
        return FEWEST_COLUMNS
    return min(range(FEWEST_COLUMNS, MOST_COLUMNS + 1), key=lambda n: (-count % n, -(-count // n) < 2, -n))


def density(count: int) -> str:
    """How much a tile says: all (tall when in one row, else roomy), name and state in one line (close), no strip (dense)."""
    rows = -(-count // columns(count))
    return "tall" if rows <= 1 else "roomy" if rows <= 3 else "close" if rows <= 5 else "dense"


def of_services(texts: Texts, found: Iterable[Service], told: Collection[str], now: Instant) -> list[Tile]:
    """A tile each, but for those that are told elsewhere on the wall."""
    return [_of_service(texts, service, now) for service in found if service.id not in told]


def _of_service(texts: Texts, service: Service, now: Instant) -> Tile:
    is_heard = service.last_beat_at is not None and service.interval_s
    is_new = service.state == "new"
    n = service.task_total
    tasks = texts.plural("%(n)s task", "%(n)s tasks", n) if n else ""
    beats = beat_strip.shown(service, now) if is_heard else []
    came, known = sum(beat is True for beat in beats), sum(beat is not None for beat in beats)
    return Tile(
        name=service.name or service.id,
        word=words.word(words.STATES, service.state),
        side=times.ago(texts, service.since, now) if is_new else tasks,
        flapping=service.flapping,
        beats=beats,
        beats_text=texts("%(came)s of the last %(known)s intervals had a beat", came=came, known=known),
        strip_tone=_STRIPS.get(service.state, "n"),
        is_service=True,
        key=f"s-{service.id}",
    )


def of_states(states: dict[str, int]) -> list[Tile]:
    """How many services are in which state, the worst first."""
    order = [*BAD, *(state for state in words.STATES if state not in BAD)]
    return [
        Tile(name=f"{states[state]:,}", word=words.STATES[state], is_number=True, key=f"n-{state}")
        for state in order
        if states.get(state)
    ]


def of_inputs(texts: Texts, inputs: Sequence[Source], now: Instant) -> list[Tile]:
    """One tile for all inputs; none when there are none."""
    if not inputs:
        return []
    lost = [each for each in inputs if not each.healthy and each.withdrawn_at is None]
    name = texts("Input %(name)s", name=inputs[0].name) if len(inputs) == 1 else texts("Inputs")
    newest = max((each.last_message_at for each in inputs if each.last_message_at is not None), default=None)
    side = times.ago(texts, newest, now) if newest and not lost else ", ".join(each.name for each in lost[:2])
    return [Tile(name=name, word=_LOST if lost else _CONNECTED, side=side, key="inputs")]

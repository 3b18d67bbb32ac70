"""R133: what reads bytes from outside meets a kept corpus, mutated: it answers or refuses in its own words, and never hangs.

A part for every change; `FUZZ_FRAMES=10000000` says how many inputs in all. Each is cut as a network would cut it.
"""

import json
import os
import random
import resource
import time
from collections.abc import Callable
from itertools import islice

import pytest

from taskdash.errors import BadField, BadJson
from taskdash.wire import messages, metadata, nsq, pack
from tests.fuzz.mutation import cut, inputs

FRAMES = int(os.environ.get("FUZZ_FRAMES") or (1_000_000 if os.environ.get("LONG_FAULTS") else 30_000))
HANG_S = 10.0
"""Ten times the figure: a machine of CI stands still now and then."""
WARM = 2_000
ERRORS = ("E_BAD_PROTOCOL", "E_INVALID", "E_BAD_TOPIC", "E_BAD_MESSAGE", "E_BAD_BODY")
SEED = 133


def tcp(received: bytes, chance: random.Random) -> None:
    """Packs are read or named wrong, and their answers are packs again."""
    reader = pack.PackReader(1_048_576)
    for piece in cut(chance, received):
        for raw in reader.feed(piece):
            request = pack.decode(raw)
            assert request.error is None or isinstance(request.error, BadJson | BadField), request.error
            assert request.is_heartbeat or request.error or request.fields
            sent = pack.encode(reader.framing or pack.Framing.LINES, request, pack.body_of({"id": request.id, "errid": 0}))
            _is_an_answer(reader.framing, sent)


def _is_an_answer(framing: pack.Framing | None, sent: bytes) -> None:
    if framing is pack.Framing.LENGTH:
        assert int.from_bytes(sent[:4], "big") == len(sent) - 4
        sent = sent[4:]
    else:
        assert sent.count(b"\n") == 1
    assert set(json.loads(sent)) == {"MessageID", "Header", "Body"}


def producer(received: bytes, chance: random.Random) -> None:
    """Commands end in nsqd's own errors; a body is a message or is named wrong."""
    reader = nsq.CommandReader()
    commands = [command for piece in cut(chance, received) for command in reader.feed(piece)]
    for command in commands:
        if isinstance(command, nsq.Fatal):
            assert command.text.split(" ")[0] in ERRORS
            assert command is commands[-1]
        elif isinstance(command, nsq.Publish):
            assert nsq.is_name(command.topic.encode())
            for body in command.bodies:
                message(body, chance)


def told(error: Exception) -> None:
    """A refusal has a sentence."""
    assert str(error)


def message(body: bytes, _chance: random.Random) -> None:
    """A registration, a beat, or a refusal."""
    for decode in (messages.decode_registration, messages.decode_heartbeat):
        try:
            assert decode(body).id
        except (BadJson, BadField) as error:
            told(error)


def collected(body: bytes, chance: random.Random) -> None:
    """A page of good records and named problems, or a refusal; no id twice as long as an id may be."""
    try:
        page = metadata.decode_page(body, chance.choice(("application/json", "application/x-ndjson", "")))
    except (BadJson, BadField) as error:
        told(error)
        return
    assert all(0 < len(task.id) <= 128 for task in page.tasks)
    assert all(problem["problem"] for problem in page.problems)


def frames(received: bytes, chance: random.Random) -> None:
    """What an nsqd may send to us."""
    reader = nsq.FrameReader()
    try:
        for piece in cut(chance, received):
            for frame in reader.feed(piece):
                nsq.delivery(frame.body)
    except ValueError as error:
        told(error)


PARSERS: dict[str, tuple[str, Callable[[bytes, random.Random], None]]] = {
    "8701": ("tcp", tcp),
    "4150": ("nsq", producer),
    "messages": ("collect", message),
    "collector answers": ("collect", collected),
    "frames of nsqd": ("nsq", frames),
}


def resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("name", PARSERS)
def test_R133_no_input_makes_a_parser_crash_hang_or_grow(name: str, record_property: Callable[[str, object], None]) -> None:
    port, parse = PARSERS[name]
    record_property("tries", f"{FRAMES:,} inputs to the parsers")
    chance, worst, before = random.Random(SEED), 0.0, 0
    for n, received in enumerate(islice(inputs(port, SEED), FRAMES // len(PARSERS))):
        start = time.perf_counter()
        try:
            parse(received, chance)
        except Exception as error:
            raise AssertionError(f"input {n}, to be kept in corpus/{port}: {received!r}") from error
        worst = max(worst, time.perf_counter() - start)
        if n == WARM:
            before = resident_kib()
    assert worst < HANG_S
    assert resident_kib() < before * 1.05 + 4_096

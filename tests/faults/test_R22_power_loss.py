"""R22: the power fails. What was acknowledged was synced before, and is there whatever the disk made of the rest."""

import asyncio
import itertools
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from taskdash.store.places import File
from tests.faults.disk import Disk
from tests.faults.power_cut import Entry, Platter, entries
from tests.faults.test_R20_kill import stored
from tests.serving import Serving, serving

IS_LONG = bool(os.environ.get("LONG_FAULTS"))
ACKS = 1_000 if IS_LONG else 200
CUTS = 200 if IS_LONG else 20
OURS = re.compile(rb"cut-\d{6}")
OK = b"\x00\x00\x00\x06\x00\x00\x00\x00OK"
STORE = "taskdash.db"


class Acks:
    """What went out to the clients, as the log of the disk has it: each port's bytes in order."""

    def __init__(self, sent: dict[int, list[str]]) -> None:
        self._sent = sent
        self._counts = dict.fromkeys(sent, 0)
        self._buffers = dict.fromkeys(sent, b"")

    def told(self, entry: Entry) -> set[str]:
        """The ids that this send acknowledges: the answers come in the order of the requests."""
        port = int(entry.name)
        if port not in self._sent:
            return set()
        self._buffers[port] += entry.content
        answers = self._taken(port)
        first, self._counts[port] = self._counts[port], self._counts[port] + len(answers)
        told = self._sent[port][first : first + len(answers)]
        return {name for name, answer in zip(told, answers, strict=True) if answer in (OK, b"0")}

    def _taken(self, port: int) -> list[bytes]:
        found = re.compile(re.escape(OK) + rb'|"errid":\s*(\d+)[^\n]*\n').finditer(self._buffers[port])
        answers, end = [], 0
        for answer in found:
            answers.append(answer[1] or OK)
            end = answer.end()
        self._buffers[port] = self._buffers[port][end:]
        return answers


class Load:
    """Clients that write until enough is acknowledged. `sent`: the ids by the client's port, in order."""

    def __init__(self) -> None:
        self.sent: dict[int, list[str]] = {}
        self.acks = 0
        self._numbers = itertools.count()

    async def run(self, server: Serving, is_enough: Callable[[], bool]) -> None:
        await asyncio.gather(*(client(server, is_enough) for client in (self._register, self._pub) for _ in range(4)))

    def _new(self, port: int) -> str:
        name = f"cut-{next(self._numbers):06}"
        self.sent.setdefault(port, []).append(name)
        return name

    async def _register(self, server: Serving, is_enough: Callable[[], bool]) -> None:
        reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
        while not is_enough():
            name = self._new(writer.get_extra_info("sockname")[1])
            pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": name, "status": "running"}}
            writer.write(json.dumps(pack).encode() + b"\n")
            self.acks += json.loads(await reader.readline())["Body"]["errid"] == 0
        writer.close()

    async def _pub(self, server: Serving, is_enough: Callable[[], bool]) -> None:
        reader, writer = await asyncio.open_connection(*server.addresses["nsq"])
        writer.write(b"  V2")
        while not is_enough():
            name = self._new(writer.get_extra_info("sockname")[1])
            body = json.dumps({"id": name, "name": name}).encode()
            writer.write(b"PUB taskdash.services\n" + len(body).to_bytes(4, "big") + body)
            frame = await reader.readexactly(len(OK))
            self.acks += frame == OK
        writer.close()


def opened(files: dict[str, bytes], directory: Path) -> set[str]:
    """What a program finds that opens the store after the power came back."""
    directory.mkdir()
    for name, content in files.items():
        if name.startswith(STORE):
            (directory / name).write_bytes(content)
    found = File(directory / STORE)
    return stored(found, "SELECT id FROM tasks UNION SELECT id FROM services")


@pytest.mark.timeout(600)
async def test_R22_R130_what_was_acknowledged_was_synced_before_and_survives_a_power_cut_at_any_moment(tmp_path: Path) -> None:
    home = tmp_path / "data"
    async with serving(home) as server:
        await server.stop()
    platter = Platter({STORE: (home / STORE).read_bytes()})
    disk, load = Disk(home, tmp_path, is_logged=True), Load()
    async with serving(home, env=disk.env) as server:
        await load.run(server, lambda: load.acks >= ACKS and f"write {STORE} ".encode() in disk.log.read_bytes())
    log, acks, chance = entries(disk.log), Acks(load.sent), random.Random(22)
    first = next(n for n, entry in enumerate(log) if entry.kind == "send")
    cuts = {*chance.sample(range(first, len(log)), CUTS - 1), len(log) - 1}
    acked: set[str] = set()
    for n, entry in enumerate(log):
        if entry.kind == "send":
            told = acks.told(entry)
            assert told <= platter.durable(OURS), "acknowledged before its fdatasync was done"
            acked |= told
        else:
            platter.apply(entry)
        if n in cuts:
            for way, what in (("nothing", None), ("some", chance)):
                lost = acked - opened(platter.after_a_cut(what), tmp_path / f"cut-{n}-{way}")
                assert not lost, f"the power cut after line {n} with {way} of the unsynced lost {sorted(lost)[:3]}"
    assert len(acked) >= ACKS

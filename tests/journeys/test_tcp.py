"""Register, Update, Find and 1392 over real sockets and a real store (SPEC 5, RELIABILITY R65-R71)."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from taskdash.actions import tasks as task_actions
from taskdash.clock import ManualClock
from taskdash.errors import StoreRefused
from taskdash.health import Parts
from taskdash.store import events, tasks
from taskdash.store.database import Database
from taskdash.store.places import Place
from taskdash.tcp.connection import Limits
from taskdash.tcp.server import TcpServer
from tests.support import eventually

SEED = {
    "id": "1234567",
    "name": "abc",
    "url": "http://localhost:8080/v1/task",
    "user": "wsg",
    "group_id": "mx",
    "description": "add data",
    "status": "running",
    "start_time": "12:00",
    "stop_time": "18:00",
}


class Rig:
    """A running TCP interface and a way to talk to it."""

    def __init__(self, server: TcpServer, db: Database, clock: ManualClock, address: tuple[str, int]) -> None:
        self.server, self.db, self.clock, self.address = server, db, clock, address
        self.peers: list[Peer] = []

    async def connect(self) -> "Peer":
        self.peers.append(Peer(*await asyncio.open_connection(*self.address)))
        return self.peers[-1]


class Peer:
    """One client connection in line framing, with bytes access."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, request_id: str, body: Any, **header: Any) -> None:
        self.raw(json.dumps({"MessageID": 2, "Header": {"RequestID": request_id, **header}, "Body": body}).encode() + b"\n")

    def raw(self, sent: bytes) -> None:
        self.writer.write(sent)

    async def answer(self) -> dict[str, Any]:
        line = await asyncio.wait_for(self.reader.readline(), 10)
        assert line, "the connection was closed"
        pack: dict[str, Any] = json.loads(line)
        return pack

    async def ask(self, request_id: str, body: Any, **header: Any) -> dict[str, Any]:
        self.send(request_id, body, **header)
        found: dict[str, Any] = (await self.answer())["Body"]
        return found

    async def is_closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 10) == b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def rig(place: Place, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    token, limits = getattr(request, "param", ("", Limits()))
    db, clock = Database(place), ManualClock()
    db.start()

    async def lost(peer: str, ids: Any) -> None:
        await task_actions.lost_connection(db, peer, ids, clock.now())

    server = TcpServer(
        apply=lambda batch: task_actions.apply_batch(db, batch, clock.now()),
        read=db.read,
        vouch=partial(task_actions.vouch, db),
        lost=lost,
        clock=clock,
        parts=Parts(clock),
        limits=limits,
        token=token,
    )
    address = await server.start("127.0.0.1", 0)
    serving = asyncio.create_task(server.run())
    rig = Rig(server, db, clock, address)
    yield rig
    for peer in rig.peers:
        await peer.close()
    await server.drain(2.0)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await db.close()


async def test_the_seeds_register_is_found_again_as_the_same_record(rig: Rig) -> None:
    peer = await rig.connect()
    assert await peer.ask("Register", SEED) == {"id": "1234567", "errid": 0, "errmsg": "正确"}
    assert await peer.ask("Find", {"id": "1234567"}) == {**SEED, "reserved": "", "errid": 0, "errmsg": "正确"}


async def test_an_update_changes_only_the_fields_it_names(rig: Rig) -> None:
    peer = await rig.connect()
    await peer.ask("Register", SEED)
    assert (await peer.ask("Update", {"id": "1234567", "status": "finish"}))["errid"] == 0
    found = await peer.ask("Find", {"id": "1234567"})
    assert (found["status"], found["name"], found["user"]) == ("finish", "abc", "wsg")


@pytest.mark.parametrize("request_id", ["Update", "Find"])
async def test_an_unknown_id_is_1002(rig: Rig, request_id: str) -> None:
    peer = await rig.connect()
    answer = await peer.ask(request_id, {"id": "nobody"})
    assert (answer["id"], answer["errid"], answer["errmsg"]) == ("nobody", 1002, "不存在该任务id")
    assert "nobody" in answer["detail"]


async def test_pipelined_requests_are_answered_in_order_and_a_find_sees_the_register_before_it(rig: Rig) -> None:
    peer = await rig.connect()
    for n in range(50):
        peer.send("Register", {"id": f"t{n}", "status": "waiting"}, n=n)
        peer.send("Find", {"id": f"t{n}"}, n=n)
        peer.send("Update", {"id": f"t{n}", "status": "running"}, n=n)
    for n in range(50):
        answers = [await peer.answer() for _ in range(3)]
        assert [a["Header"]["n"] for a in answers] == [n, n, n]
        assert [a["Body"].get("status") for a in answers] == [None, "waiting", None]
        assert [a["Body"]["errid"] for a in answers] == [0, 0, 0]


async def test_length_prefixed_packs_with_a_base64_body_are_answered_alike(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection(*rig.address)
    body = base64.b64encode(json.dumps(SEED).encode()).decode()
    raw = json.dumps({"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": body}).encode()
    writer.write(len(raw).to_bytes(4, "big") + raw)
    size = int.from_bytes(await reader.readexactly(4), "big")
    answer = json.loads(await reader.readexactly(size))
    assert json.loads(base64.b64decode(answer["Body"]))["errid"] == 0
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "line",
    [
        b'{"MessageID":2,"Header":{"RequestID":"Drop"},"Body":{"id":"1"}}',
        b'{"MessageID":3,"Header":{"RequestID":"Find"},"Body":{"id":"1"}}',
        b'{"MessageID":2,"Header":{"RequestID":"Find"}}',
        b"{not json",
        b'{"MessageID":2,"Header":{"RequestID":"Register"},"Body":{"id":133}}',
    ],
)
async def test_R69_a_wrong_request_is_1000_and_the_connection_stays(rig: Rig, line: bytes) -> None:
    peer = await rig.connect()
    peer.raw(line + b"\n")
    body = (await peer.answer())["Body"]
    assert (body["errid"], body["errmsg"]) == (1000, "请求格式不正确")
    assert body["detail"]
    assert (await peer.ask("Register", SEED))["errid"] == 0


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"hello\n"])
async def test_R65_what_is_no_pack_at_all_gets_one_line_1000_and_is_closed(rig: Rig, sent: bytes) -> None:
    peer = await rig.connect()
    peer.raw(sent)
    assert (await peer.answer())["Body"]["errid"] == 1000
    assert await peer.is_closed()


async def test_R66_a_length_over_the_limit_is_1000_and_closed_after_the_answers_still_owed(rig: Rig) -> None:
    peer = await rig.connect()
    raw = json.dumps({"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": SEED}).encode()
    peer.raw(len(raw).to_bytes(4, "big") + raw + (0x00FFFFFF).to_bytes(4, "big"))
    answers = []
    for _ in range(2):
        size = int.from_bytes(await peer.reader.readexactly(4), "big")
        answers.append(json.loads(await peer.reader.readexactly(size))["Body"]["errid"])
    assert answers == [0, 1000]
    assert await peer.is_closed()


async def test_R67_a_line_that_never_ends_is_1000_and_closed(rig: Rig) -> None:
    peer = await rig.connect()
    peer.raw(b"{" + b" " * (1024 * 1024 + 10))
    assert (await peer.answer())["Body"]["errid"] == 1000
    assert await peer.is_closed()


async def test_R68_a_pack_that_is_not_whole_ten_seconds_after_its_first_byte_ends_the_connection(rig: Rig) -> None:
    peer, patient = await rig.connect(), await rig.connect()
    peer.raw(b'{"MessageID":2,')
    await patient.ask("Register", SEED)
    await eventually(lambda: any(c.partial_since for c in rig.server._connections))
    rig.clock.advance(5)
    peer.raw(b'"Header":')
    await patient.ask("Find", {"id": "1234567"})
    rig.clock.advance(5.5)
    with pytest.raises((ConnectionError, AssertionError)):
        await peer.answer()
    assert (await patient.ask("Find", {"id": "1234567"}))["errid"] == 0


async def test_R70_a_peer_that_never_reads_is_not_read_either(rig: Rig) -> None:
    peer = await rig.connect()
    await peer.ask("Register", {**SEED, "description": "x" * 8_000})
    find = json.dumps({"MessageID": 2, "Header": {"RequestID": "Find"}, "Body": {"id": "1234567"}}).encode() + b"\n"
    peer.reader._limit = 1  # type: ignore[attr-defined]  # our own client must not read ahead
    for _ in range(3_000):
        peer.raw(find)
    connection = next(iter(rig.server._connections))
    await eventually(lambda: connection._turns.is_paused)
    assert connection._transport.get_write_buffer_size() < 9_000 * 1_200
    peer.writer.transport.abort()


async def test_R71_heartbeat_notices_have_no_answer_whatever_they_hold(rig: Rig) -> None:
    peer = await rig.connect()
    for _ in range(1_000):
        peer.raw(b'{"MessageID":1392,"Header":null,"Body":null}\n{"MessageID":1392,"Header":null,"Body":{"x":1}}\n')
    assert (await peer.ask("Register", SEED))["errid"] == 0
    assert rig.server.beats_seen == 2_000


async def is_adrift(rig: Rig, task_id: str) -> bool:
    task = await rig.db.read(lambda conn: tasks.load(conn, task_id))
    return task is not None and task.adrift


async def test_when_a_vouching_connection_is_gone_its_tasks_are_stale_until_registered_again(rig: Rig) -> None:
    peer = await rig.connect()
    await peer.ask("Register", SEED)
    peer.raw(b'{"MessageID":1392,"Header":null,"Body":null}\n')
    await peer.ask("Find", {"id": "1234567"})
    await peer.close()
    await eventually(lambda: is_adrift(rig, "1234567"))
    again = await rig.connect()
    await again.ask("Update", {"id": "1234567", "status": "running"})
    assert not await is_adrift(rig, "1234567")


async def test_after_a_crash_what_a_connection_vouched_for_is_stale(rig: Rig) -> None:
    peer = await rig.connect()
    await peer.ask("Register", SEED)
    peer.raw(b'{"MessageID":1392,"Header":null,"Body":null}\n')
    await peer.ask("Register", {"id": "2"})
    await rig.server._marks.join()
    await task_actions.lose_orphans(rig.db, rig.clock.now())  # what a start does first
    assert await is_adrift(rig, "1234567")
    assert await is_adrift(rig, "2")


async def test_a_connection_that_never_sent_1392_promises_nothing(rig: Rig) -> None:
    peer = await rig.connect()
    await peer.ask("Register", SEED)
    await peer.close()
    await eventually(lambda: not rig.server._connections)
    await rig.server._marks.join()
    assert not await is_adrift(rig, "1234567")


async def test_the_newest_connection_that_registered_a_task_is_the_one_that_vouches(rig: Rig) -> None:
    old, new = await rig.connect(), await rig.connect()
    old.raw(b'{"MessageID":1392,"Header":null,"Body":null}\n')
    await old.ask("Register", SEED)
    await new.ask("Register", SEED)
    await old.close()
    await eventually(lambda: len(rig.server._connections) == 1)
    await rig.server._marks.join()
    assert not await is_adrift(rig, "1234567")


async def test_silence_ends_a_vouching_connection_after_30_s_and_another_after_10_min(rig: Rig) -> None:
    vouching, plain = await rig.connect(), await rig.connect()
    vouching.raw(b'{"MessageID":1392,"Header":null,"Body":null}\n')
    await vouching.ask("Register", SEED)
    await plain.ask("Find", {"id": "1234567"})
    rig.clock.advance(31)
    await eventually(lambda: len(rig.server._connections) == 1)
    rig.clock.advance(560)
    assert (await plain.ask("Find", {"id": "1234567"}))["errid"] == 0
    rig.clock.advance(601)
    await eventually(lambda: not rig.server._connections)


@pytest.mark.parametrize("rig", [("sesame", Limits())], indirect=True)
async def test_a_listener_with_a_token_answers_1003_without_it(rig: Rig) -> None:
    peer = await rig.connect()
    refused = await peer.ask("Register", SEED)
    assert (refused["errid"], refused["errmsg"]) == (1003, "未授权")
    assert (await peer.ask("Register", SEED, Token="wrong"))["errid"] == 1003
    assert (await peer.ask("Register", SEED, Token="sesame"))["errid"] == 0


@pytest.mark.parametrize("rig", [("", Limits(connections=2))], indirect=True)
async def test_R103_beyond_the_cap_a_peer_gets_one_refusal_line_and_is_closed(rig: Rig) -> None:
    first, second = await rig.connect(), await rig.connect()
    await first.ask("Register", SEED)
    await second.ask("Find", {"id": "1234567"})
    third = await rig.connect()
    assert "connections" in (await third.answer())["Body"]["detail"]
    assert await third.is_closed()
    await first.close()
    await second.close()


async def test_R2_while_the_store_refuses_the_answer_is_1001_and_nothing_is_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(_work: Any) -> Any:
        raise StoreRefused("the store refused the change (SQLITE_FULL); nothing was kept")

    peer = await rig.connect()
    with monkeypatch.context() as broken:
        broken.setattr(rig.db, "write", refuses)
        answer = await peer.ask("Register", SEED)
    assert (answer["errid"], answer["errmsg"]) == (1001, "数据库存储失败")
    assert (await peer.ask("Find", {"id": "1234567"}))["errid"] == 1002
    assert (await peer.ask("Register", SEED))["errid"] == 0


async def test_history_says_by_which_connection_a_task_changed(rig: Rig) -> None:
    peer = await rig.connect()
    await peer.ask("Register", SEED)
    host, port = peer.writer.get_extra_info("sockname")
    history = await rig.db.read(lambda conn: events.page(conn, subject=("task", "1234567")))
    assert {(e.actor_type, e.actor_id, e.channel) for e in history} == {("connection", f"{host}:{port}", "tcp")}


async def test_answers_owed_are_sent_before_a_drain_closes(rig: Rig) -> None:
    peer = await rig.connect()
    peer.send("Register", SEED)
    await eventually(lambda: rig.server._connections)
    await eventually(lambda: any(c._queue for c in rig.server._connections) or peer.reader._buffer)  # type: ignore[attr-defined]
    await rig.server.drain(5.0)
    assert (await peer.answer())["Body"]["errid"] == 0
    assert await peer.is_closed()


async def output_of(*command: str, sent: bytes = b"") -> str:
    program = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(program.communicate(sent), 60)
    return out.decode()


async def test_a_go_client_with_length_prefix_and_byte_slice_bodies_works_unchanged(rig: Rig) -> None:
    host, port = rig.address
    assert (await output_of(".tools/gotcp", f"{host}:{port}")).splitlines() == [
        "Register go-1  0 正确",
        "Update go-1  0 正确",
        "Find go-1 running 0 正确",
        "Find go-2  1002 不存在该任务id",
    ]


async def test_nc_with_lines_works(rig: Rig) -> None:
    host, port = rig.address
    sent = b"".join(
        json.dumps({"MessageID": 2, "Header": {"RequestID": request}, "Body": body}).encode() + b"\n"
        for request, body in (("Register", SEED), ("Find", {"id": "1234567"}))
    )
    answers = [json.loads(line)["Body"] for line in (await output_of("nc", "-N", host, str(port), sent=sent)).splitlines()]
    assert [a["errid"] for a in answers] == [0, 0]
    assert answers[1]["name"] == "abc"

"""Secrets through every port of a real server, then a search of all that it says, shows and stores. RELIABILITY R158, R159."""

import asyncio
import json
import secrets
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from taskdash import cli, telemetry
from taskdash.store.places import Place, Server
from tests.journeys.commands import taskdash
from tests.serving import Serving, serving
from tests.support import all_rows, eventually

STRANGE = '\x1b[31mred\x1b[0m\r\n{"event":"forged"}\u202e\u2028\x7f'


class Canaries:
    """A new secret each time one is asked for, all of them kept."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def new(self) -> str:
        """A password, a shared token."""
        self.all.append(f"cnry{secrets.token_hex(10)}")
        return self.all[-1]

    def token(self) -> str:
        """What has the form of one of our tokens."""
        self.all.append(f"tdk_{secrets.token_hex(18)}")
        return self.all[-1]

    def take(self, secret: str) -> str:
        """One that the server made."""
        self.all.append(secret)
        return secret

    def found_in(self, text: str) -> list[str]:
        return [each for each in self.all if each in text]


def messages(canaries: Canaries) -> list[bytes]:
    """What a program that is not well may send as its registration: none can be understood, so all are kept to be shown."""
    bodies: list[Any] = [
        {"id": "a", "url": f"http://user:{canaries.new()}@host/"},
        {"id": 7, "password": canaries.new()},
        {"id": 7, "reserved": json.dumps({"token": canaries.new()})},
        {"id": 7, "name": canaries.token()},
        {"id": 7, "cookie": f"taskdash={canaries.new()}"},
        {"id": 7, "db": f"postgresql://ada:{canaries.new()}@db/taskdash"},
    ]
    plain = [
        f"Authorization: Bearer {canaries.new()}",
        f"GET / HTTP/1.1\r\nCookie: taskdash={canaries.new()}\r\n",
        canaries.token(),
    ]
    cut = b"x" * 4_080 + f"password={canaries.new()}".encode()
    return [*(json.dumps(each).encode() for each in bodies), *map(str.encode, plain), cut, STRANGE.encode()]


class Caller:
    """Says secrets at every port; `answers` is all that came back."""

    def __init__(self, server: Serving, canaries: Canaries, tcp_token: str, nsq_auth: str) -> None:
        self._server, self._canaries = server, canaries
        self._tcp_token, self._nsq_auth = tcp_token, nsq_auth
        self.answers: list[str] = []
        self.of_the_session = ""

    async def tcp(self) -> None:
        """8701. An answer repeats the header of its request to who sent it, so of those only the body counts."""
        new = self._canaries.new
        reader, writer = await asyncio.open_connection(*self._server.addresses["tcp"])
        good, wrong = {"Token": self._tcp_token}, {"Token": new()}
        for header, body in (
            (wrong, {"id": "1"}),
            (good, {"id": "1", "name": STRANGE}),
            (good, {"id": "1", "url": f"http://user:{new()}@host/"}),
            (good, {"id": "1", "password": new(), "name": 7}),
            (good, {"id": "1", "name": "ok"}),
        ):
            pack = {"MessageID": 2, "Header": {"RequestID": "Register", **header}, "Body": body}
            writer.write(json.dumps(pack).encode() + b"\n")
            self.answers.append(json.dumps(json.loads(await reader.readline())["Body"]))
        writer.write(b'{"Header":{"Token":"' + new().encode() + b"\n")
        self.answers.append((await reader.readline()).decode())
        writer.close()

    async def nsq(self) -> None:
        """4150."""
        for secret, bodies in ((self._canaries.new(), []), (self._nsq_auth, messages(self._canaries))):
            reader, writer = await asyncio.open_connection(*self._server.addresses["nsq"])
            writer.write(b"  V2AUTH\n" + struct.pack(">i", len(secret)) + secret.encode())
            for body in bodies:
                writer.write(b"PUB taskdash.services\n" + struct.pack(">i", len(body)) + body)
            for _ in range(1 + len(bodies)):
                (size,) = struct.unpack(">i", await asyncio.wait_for(reader.readexactly(4), 20))
                self.answers.append(repr(await reader.readexactly(size)))
            writer.close()

    async def nsq_http(self) -> None:
        """4151."""
        host, port = self._server.addresses["nsq-http"]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            for secret in (self._canaries.new(), self._nsq_auth):
                headers = {"Authorization": f"Bearer {secret}"}
                for path in ("/pub?topic=taskdash.services", f"/pub?topic=x&secret={self._canaries.new()}"):
                    for body in messages(self._canaries)[:3]:
                        async with session.post(path, data=body, headers=headers) as answer:
                            self.answers.append(await answer.text())

    async def web(self, session: aiohttp.ClientSession) -> None:
        """8700, signed in and not. What the server makes and tells once is kept as a secret from then on."""
        canaries = self._canaries
        password = "a quite " + canaries.new()
        self.of_the_session = canaries.take(session.headers["X-CSRF-Token"])
        for cookie in session.cookie_jar:
            canaries.take(cookie.value)
        strange = {
            "Authorization": f"Bearer {canaries.token()}",
            "Cookie": f"taskdash={canaries.new()}",
            "User-Agent": "é \u202e",
        }
        asked: Sequence[tuple[str, str, Any, dict[str, str]]] = (
            ("POST", "/api/v1/login", {"user": "admin", "password": canaries.new()}, {}),
            ("POST", "/api/v1/login", {"user": canaries.new(), "password": canaries.new()}, {}),
            ("GET", f"/{canaries.token()}", None, {}),
            ("GET", f"/api/v1/me?token={canaries.token()}&%0d%0a%1b[31m", None, strange),
            ("POST", "/api/v1/users", {"name": "ada", "role": "member", "groups": [], "password": password}, {}),
            ("PATCH", "/api/v1/users/ada", {"password": "another " + canaries.new()}, {}),
            ("PATCH", "/api/v1/users/nobody", {"password": "another " + canaries.new()}, {}),
            ("POST", "/api/v1/services", {"id": "u", "url": f"http://user:{canaries.new()}@host/"}, {}),
            ("POST", "/api/v1/services", {"id": "u", "name": [f"password={canaries.new()}"]}, {}),
            ("POST", "/api/v1/me/password", {"old": canaries.new(), "new": "a new one " + canaries.new()}, {}),
        )
        for method, path, body, headers in asked:
            async with session.request(method, path, json=body, headers=headers) as answer:
                self.answers.append(await answer.text())
        for path, body, told in (
            ("/api/v1/users", {"name": "bob", "role": "member", "groups": []}, "password"),
            ("/api/v1/tokens", {"name": "ci", "scopes": ["read"]}, "token"),
        ):
            async with session.post(path, json=body, headers={"Idempotency-Key": f"key of {told}"}) as answer:
                canaries.take((await answer.json())[told])

    async def everything_shown(self, session: aiohttp.ClientSession) -> str:
        """What people and programs are shown afterwards."""
        async with session.get("/api/v1/dead-letters?limit=500") as answer:
            letters = (await answer.json())["items"]
        paths = [f"/admin/dead-letters/{each['id']}/body" for each in letters]
        paths += ["/metrics", "/readyz", "/healthz", "/admin", "/admin/settings", "/admin/dead-letters", "/admin/tokens"]
        paths += ["/history?limit=500", "/account", "/api/v1/events?limit=500", "/api/v1/dead-letters?limit=500"]
        paths += [
            "/api/v1/services",
            "/api/v1/tasks",
            "/api/v1/users",
            "/api/v1/senders",
            "/api/v1/incidents",
            "/services/u",
            "/",
        ]
        shown = []
        for path in paths:
            async with session.get(path) as answer:
                shown.append(await answer.text(errors="replace"))
        own = session.headers["X-CSRF-Token"]
        return "\n".join(shown).replace(own, "")  # a page has the token of its own session


def is_a_line_of_the_log(line: str) -> bool:
    return line.isascii() and line.isprintable() and isinstance(json.loads(line), dict)


async def test_R158_R159_secrets_that_went_through_every_port_are_in_no_output(
    engine: list[str], served: Place, tmp_path: Path
) -> None:
    canaries = Canaries()
    tcp_token, nsq_auth, dsn = canaries.new(), canaries.new(), canaries.new()
    env = {"TASKDASH_TCP__TOKEN": tcp_token, "TASKDASH_NSQ__AUTH": nsq_auth}
    if isinstance(served, Server):
        env["TASKDASH_DB"] = engine[0].removeprefix("--db=").replace("taskdash@", f"taskdash:{dsn}@")
    async with serving(tmp_path / "data", env=env) as server:
        canaries.take(server.admin)
        caller = Caller(server, canaries, tcp_token, nsq_auth)
        async with server.signed_in() as session:
            await asyncio.gather(caller.tcp(), caller.nsq(), caller.nsq_http())
            await caller.web(session)

            async def letters() -> bool:
                async with session.get("/api/v1/dead-letters?limit=500") as answer:
                    return len((await answer.json())["items"]) >= 14

            await eventually(letters)
            shown = await caller.everything_shown(session)
        stored = all_rows(served)
        assert await server.stop() == 0
    at = f"--data-dir={tmp_path / 'data'}"
    commands = [
        await taskdash(*command, at, env=env) for command in (["config", "show"], ["config", "check"], ["user", "list"])
    ]
    said = "\n".join([*server.errors, *(ended.output + ended.errors for ended in commands), *caller.answers, shown])
    assert canaries.found_in(said) == []
    files = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("*"))
    found = canaries.found_in((stored + files).decode("latin-1"))
    assert found == [caller.of_the_session], "a session's CSRF token is stored with it, and of no use without its cookie"
    assert len(canaries.all) > 40
    assert [line for line in server.errors[1:] if not is_a_line_of_the_log(line)] == []
    assert [line for line in server.output if not line.startswith("sign-in: admin ")] == []


@pytest.mark.parametrize("where", ["a command", "a thread", "a warning"])
def test_R158_R159_what_nobody_caught_is_one_line_without_secrets(
    where: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries = Canaries()
    text = f"{STRANGE} password={canaries.new()} {canaries.token()} postgresql://ada:{canaries.new()}@db/x"

    def broken(*_arguments: object) -> int:
        raise RuntimeError(text)

    monkeypatch.setattr("taskdash.commands.config.run", broken)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    telemetry.start_logging()
    if where == "a command":
        assert cli.main(["config", "show"]) == 1
    elif where == "a thread":
        thread = threading.Thread(target=broken)
        thread.start()
        thread.join()
    else:
        telemetry.logging.getLogger("py.warnings").warning("%s", text)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert is_a_line_of_the_log(said.rstrip("\n"))
    assert "RuntimeError" in said or where == "a warning"
    assert canaries.found_in(said) == []

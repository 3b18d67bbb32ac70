"""What docs/guides/hardening.md says, done: its settings, its nginx with TLS and client certificates, its backup brought back.

R141, R155, R163, R165, R167. nginx is the real one, with its stream module.
"""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from functools import reduce
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from taskdash.settings.sources import keys, load
from tests.certificates import Pair, a_certificate
from tests.journeys.commands import taskdash
from tests.serving import Serving, serving
from tests.support import eventually

GUIDES = [*Path("docs/guides").glob("*.md"), Path("SECURITY.md")]
GUIDE = Path("docs/guides/hardening.md").read_text(encoding="utf-8")
TOML, IN_HTTP, IN_STREAM = (
    re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.S)[n] for kind, n in (("toml", 0), ("nginx", 0), ("nginx", 1))
)
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
NAME = "taskdash.example.com"
KEPT_IN = "/etc/nginx/certificates"
USUAL = {8700: "http", 8701: "tcp", 4150: "nsq", 4151: "nsq-http"}


@pytest.mark.parametrize("page", GUIDES, ids=str)
def test_every_setting_that_a_guide_names_is_one(page: Path) -> None:
    known = {*keys()}
    sections = {name.partition(".")[0] for name in known if "." in name}
    named = re.findall(r"`([a-z_]+\.[a-z_]+)(?: = [^`]*)?`", page.read_text(encoding="utf-8"))
    files = (".py", ".toml", ".db", ".md", ".conf", ".service", ".dump")
    assert {n for n in named if n.partition(".")[0] in sections and not n.endswith(files)} - known == set()


def test_every_row_that_a_guide_counts_on_is_one() -> None:
    rows = Path("docs/RELIABILITY.md").read_text(encoding="utf-8")
    assert all(f"| {row} |" in rows for row in re.findall(r"R1[4-7]\d", GUIDE))


class Hardened:
    """A server with the settings of the guide, behind nginx as it is there. `ports`: of nginx, by the port in the guide."""

    def __init__(self, server: Serving, ports: dict[int, int], tls: Pair, program: Pair) -> None:
        self.server, self.ports, self.tls, self.program = server, ports, tls, program

    def context(self, *, as_program: bool = False) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=self.tls.cert)
        made.check_hostname = False
        if as_program:
            made.load_cert_chain(self.program.cert, self.program.key)
        return made

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A client that comes by the proxy, under the public name."""
        connector = aiohttp.TCPConnector(ssl=self.context())
        jar = aiohttp.CookieJar(unsafe=True)
        base = f"https://127.0.0.1:{self.ports[443]}"
        async with aiohttp.ClientSession(base, connector=connector, cookie_jar=jar, headers={"Host": NAME}) as session:
            yield session

    async def dial(self, port: int, *, as_program: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.ports[port], ssl=self.context(as_program=as_program))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def configuration(folder: Path, server: Serving, ports: dict[int, int], tls: Pair, program: Pair) -> Path:
    """The blocks of the guide with this test's ports and certificates, in a whole file."""
    changes = [(f"listen {port} ssl", f"listen 127.0.0.1:{ours} ssl") for port, ours in ports.items()]
    changes += [(f"127.0.0.1:{port};", f"127.0.0.1:{server.addresses[name][1]};") for port, name in USUAL.items()]
    changes += [(f"{KEPT_IN}/tls.crt", tls.cert), (f"{KEPT_IN}/tls.key", tls.key), (f"{KEPT_IN}/programs-ca.crt", program.cert)]
    blocks = [reduce(lambda text, change: text.replace(*change), changes, block) for block in (IN_HTTP, IN_STREAM)]
    paths = "".join(f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = (
        f"load_module {STREAM_MODULE};\ndaemon off;\nmaster_process off;\npid {folder / 'pid'};\nerror_log {folder / 'log'};\n"
    )
    text += f"events {{}}\nhttp {{\naccess_log off;\n{paths}\n{blocks[0]}}}\nstream {{\n{blocks[1]}}}\n"
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return folder / "nginx.conf"


@contextlib.asynccontextmanager
async def nginx(path: Path, port: int) -> AsyncIterator[None]:
    assert NGINX
    process = await asyncio.create_subprocess_exec(NGINX, "-c", str(path), stderr=asyncio.subprocess.DEVNULL)

    async def answers() -> bool:
        assert process.returncode is None, (path.parent / "log").read_text()
        with contextlib.suppress(OSError):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await eventually(answers, 20)
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def hardened(tmp_path: Path) -> AsyncIterator[Hardened]:
    tls, program = await a_certificate(tmp_path / "tls"), await a_certificate(tmp_path / "program")
    (tmp_path / "taskdash.toml").write_text(TOML, encoding="utf-8")
    ports = {port: free_port() for port in (443, 4443, 8702, 4152)}
    async with serving(tmp_path / "data", f"--config={tmp_path / 'taskdash.toml'}") as server:
        path = configuration(tmp_path, server, ports, tls, program)
        async with nginx(path, ports[443]):
            yield Hardened(server, ports, tls, program)
        await server.stop()


async def test_R141_R165_R167_people_come_by_tls_and_are_known_by_their_own_address(hardened: Hardened) -> None:
    body = {"user": "admin", "password": hardened.server.admin}
    async with hardened.browser() as session:
        forged = {"X-Forwarded-For": "203.0.113.9"}
        async with session.post("/api/v1/login", json=body, headers=forged) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
            cookies = answer.headers.getall("Set-Cookie")
        assert any(re.match(r"__Host-taskdash=.*Secure", each, re.I) and "HttpOnly" in each for each in cookies), cookies
        async with session.get("/api/v1/events?kind=session.began") as answer:
            assert (await answer.json())["items"][0]["after"] == {"address": "127.0.0.1"}
        for path, status in (("/healthz", 200), ("/metrics", 404), ("/readyz", 404), ("/tasks", 200)):
            async with session.get(path, allow_redirects=False) as answer:
                assert answer.status == status, path
        async with session.get("/api/v1/stream") as stream:
            assert (await stream.content.readline()).startswith(b"retry:")
        async with session.get("/healthz", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421


def _sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


async def test_only_programs_with_a_certificate_come_to_the_tcp_interface_and_the_nsq_endpoint(hardened: Hardened) -> None:
    pack: dict[str, Any] = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": "1", "name": "one"}}
    reader, writer = await hardened.dial(8702, as_program=True)
    for token, errid in (("", 1003), ("wrong", 1003), ("CHANGE-ME-8701-TOKEN", 0)):
        pack["Header"]["Token"] = token
        writer.write(json.dumps(pack).encode() + b"\n")
        assert json.loads(await asyncio.wait_for(reader.readline(), 20))["Body"]["errid"] == errid
    writer.close()
    reader, writer = await hardened.dial(4152, as_program=True)
    beat = json.dumps({"id": "s", "name": "S"}).encode()
    writer.write(b"  V2AUTH\n" + _sized(b"CHANGE-ME-4150-SECRET") + b"PUB taskdash.services\n" + _sized(beat))
    async with asyncio.timeout(20):
        while (await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big")))[4:] != b"OK":
            pass
    writer.close()
    for port, sent in ((8702, json.dumps(pack).encode() + b"\n"), (4152, b"  V2")):
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, writer = await hardened.dial(port, as_program=False)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 20) == b"", "without a certificate nothing is answered"
            writer.close()


async def test_the_curl_of_the_guide_publishes_with_a_certificate_and_not_without(hardened: Hardened) -> None:
    found = re.search(r"    (curl --cacert .*?)\n\n", GUIDE, re.S)
    assert found
    command = found.group(1).replace("tls.crt", hardened.tls.cert)
    command = command.replace("program.crt", hardened.program.cert).replace("program.key", hardened.program.key)
    command = command.replace(f"{NAME}:4443", f"127.0.0.1:{hardened.ports[4443]}")
    without = re.sub(r"--cert \S+ --key \S+", "", command)
    no_secret = command.replace("CHANGE-ME-4150-SECRET", "wrong")
    said = []
    for each in (command, without, no_secret):
        process = await asyncio.create_subprocess_shell(f"{each} -s", stdout=asyncio.subprocess.PIPE)
        said.append((await asyncio.wait_for(process.communicate(), 30))[0].decode())
    assert said[0] == "OK"
    assert "400" in said[1]
    assert "E_UNAUTHORIZED" in said[2]


async def test_R167_behind_a_proxy_that_nobody_named_details_are_for_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        async with aiohttp.ClientSession(server.url) as session:
            for headers, status in (({}, 200), ({"X-Forwarded-For": "203.0.113.9"}, 401)):
                async with (
                    session.get("/metrics", headers=headers) as metrics,
                    session.get("/readyz", headers=headers) as ready,
                ):
                    assert (metrics.status, "parts" in await ready.json()) == (status, status == 200)
        await server.stop()


async def test_R163_the_backup_of_the_guide_comes_back_beside_the_server(tmp_path: Path) -> None:
    commands = [line.split()[1:] for line in re.findall(r"^    (taskdash db .*)$", GUIDE, re.M)]
    assert [each[1] for each in commands] == ["backup", "restore", "check"]
    async with serving(tmp_path / "data") as server:
        for command in commands:
            here = [each.replace("/backups", str(tmp_path)).replace("/tmp/tried", str(tmp_path / "tried")) for each in command]
            at = [] if "--data-dir" in here else ["--data-dir", str(tmp_path / "data")]
            ended = await taskdash(*here, *at)
            assert ended.status == 0, (command, ended.errors)
        await server.stop()
    assert (tmp_path / "tried").stat().st_mode & 0o777 == 0o700


def test_the_settings_of_the_guide_are_settings(tmp_path: Path) -> None:
    (tmp_path / "taskdash.toml").write_text(TOML, encoding="utf-8")
    made = load({}, {}, tmp_path / "taskdash.toml")
    assert made.http.hosts == (NAME,)
    assert made.access.visibility == "groups"
    assert all(address.is_loopback for address in (made.http.listen, made.tcp.listen, made.nsq_listen))

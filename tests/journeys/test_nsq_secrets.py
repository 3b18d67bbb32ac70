"""TLS and AUTH on the embedded endpoint, with real handshakes (NSQ.md C, trap 30; RELIABILITY R74)."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskdash.wire import nsq
from tests.nsq_endpoint import OK, Endpoint, Wire, endpoint, identify, pub, sized
from tests.support import eventually

SECRET = "opensesame"


async def certificate(folder: Path) -> tuple[Path, Path]:
    """A fresh certificate for localhost, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)]
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command.split(), *names, stdout=null, stderr=null)
    assert await process.wait() == 0
    return cert, key


class Secure:
    """A server's context, and a client's that trusts it."""

    def __init__(self, cert: Path, key: Path) -> None:
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(cert, key)
        self.client = ssl.create_default_context(cafile=str(cert))


@pytest.fixture
async def secure(tmp_path: Path) -> Secure:
    return Secure(*await certificate(tmp_path))


@pytest.fixture
async def at(secure: Secure) -> AsyncIterator[Endpoint]:
    async with endpoint(tls=secure.server, auth=SECRET) as running:
        yield running


async def upgraded(at: Endpoint, secure: Secure) -> Wire:
    wire = await at.dial(nsq.MAGIC + identify(tls_v1=True))
    assert (await wire.features())["tls_v1"] is True
    await wire.upgrade(secure.client)
    assert await wire.frame() == OK
    return wire


def auth(secret: str) -> bytes:
    return b"AUTH\n" + sized(secret.encode())


async def test_R74_a_producer_publishes_after_tls_and_auth(at: Endpoint, secure: Secure) -> None:
    wire = await upgraded(at, secure)
    wire.send(auth(SECRET) + pub(b"one") + pub(b"two"))
    kind, body = await wire.frame()
    assert (kind, json.loads(body)["permission_count"]) == (nsq.RESPONSE, 1)
    assert await wire.frames(2) == [OK, OK]
    assert at.store.bodies == [b"one", b"two"]
    wire.send(identify(heartbeat_interval=1_000))
    assert (await wire.features())["tls_v1"] is False
    assert await wire.frame() == (nsq.RESPONSE, b"_heartbeat_")


async def test_R74_before_auth_nothing_is_taken(at: Endpoint, secure: Secure) -> None:
    wire = await upgraded(at, secure)
    wire.send(pub(b"x"))
    assert await wire.error() == "E_AUTH_FIRST AUTH required before PUB"
    await wire.ended()
    assert at.store.messages == []


async def test_R74_in_the_clear_nothing_is_taken_where_a_secret_must_be_told(at: Endpoint) -> None:
    wire = await at.dial(nsq.MAGIC + identify(tls_v1=False))
    features = await wire.features()
    assert (features["tls_v1"], features["auth_required"]) == (False, True)
    wire.send(pub(b"x"))
    assert await wire.error() == "E_INVALID cannot PUB in current state (TLS required)"
    await wire.ended()
    wire = await at.dial(nsq.MAGIC + auth(SECRET))
    assert await wire.error() == "E_INVALID cannot AUTH in current state (TLS required)"
    assert at.store.messages == []


@pytest.mark.parametrize("secret", ["wrong", SECRET + "x", SECRET[:-1]])
async def test_R74_a_wrong_secret_ends_the_connection(at: Endpoint, secure: Secure, secret: str) -> None:
    wire = await upgraded(at, secure)
    wire.send(auth(secret) + pub(b"x"))
    assert (await wire.error()).startswith("E_UNAUTHORIZED ")
    await wire.ended()
    assert at.store.messages == []


async def test_a_secret_that_nobody_wants_is_auth_disabled() -> None:
    async with endpoint() as at:
        wire = await at.dial(nsq.MAGIC + auth("x"))
        assert await wire.error() == "E_AUTH_DISABLED AUTH disabled"


async def test_what_is_slipped_in_before_the_handshake_is_never_obeyed_inside_tls(at: Endpoint, secure: Secure) -> None:
    wire = await at.dial(nsq.MAGIC + identify(tls_v1=True) + auth(SECRET) + pub(b"slipped in"))
    await wire.features()
    assert (await wire.error()).startswith("E_INVALID nothing may come between IDENTIFY and the TLS handshake")
    await wire.ended()
    half = await at.dial(nsq.MAGIC + identify(tls_v1=True) + b"PUB taskdash")
    await half.ended()
    assert at.store.messages == []


async def test_answers_owed_leave_in_the_clear_before_tls_begins(secure: Secure) -> None:
    async with endpoint(tls=secure.server) as at:
        at.store.open.clear()
        wire = await at.dial(nsq.MAGIC + pub(b"x") * 2_000 + identify(tls_v1=True))
        await eventually(lambda: at.store.under_way)
        at.store.open.set()
        assert await wire.frames(2_000) == [OK] * 2_000
        assert (await wire.features())["tls_v1"] is True
        await wire.upgrade(secure.client)
        assert await wire.frame() == OK
        wire.send(pub(b"y"))
        assert await wire.frame() == OK


async def test_a_failed_handshake_frees_its_place(at: Endpoint) -> None:
    wire = await at.dial(nsq.MAGIC + identify(tls_v1=True))
    await wire.features()
    wire.send(b"this is no client hello" * 10)
    await wire.ended()
    await eventually(lambda: at.tcp.connections == 0)


async def test_tls_stays_usable_under_load(secure: Secure) -> None:
    async with endpoint(tls=secure.server) as at:
        wire = await upgraded(at, secure)
        wire.send(b"".join(pub(b"%d" % number) for number in range(3_000)))
        assert await wire.frames(3_000) == [OK] * 3_000
        assert at.store.bodies == [b"%d" % number for number in range(3_000)]

"""Self-signed certificates for 127.0.0.1 and localhost, made on the spot with openssl."""

import asyncio
from pathlib import Path

from msgspec import Struct


class Pair(Struct, frozen=True):
    """Paths of the PEM certificate and its key."""

    cert: str
    key: str


async def a_certificate(folder: Path) -> Pair:
    """A new pair in `folder`; the certificate is its own CA."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    pair = Pair(str(folder / "cert.pem"), str(folder / "key.pem"))
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    program = await asyncio.create_subprocess_exec(
        *command.split(),
        *("-addext", names, "-keyout", pair.key, "-out", pair.cert),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await program.wait() == 0
    return pair

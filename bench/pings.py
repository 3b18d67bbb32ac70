"""One beat after the other by 16 clients, each durable before its answer, beside the ping path of a healthchecks-like program.

The peer is the smallest honest one (`peers/ping_app.py`): Django under gunicorn with 2 workers, PostgreSQL with fsync. TaskDash
takes the same beats by `POST /pub` and by NSQ's PUB, on SQLite and on the same PostgreSQL. In turns, the same clients.
"""

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from bench import plain_http
from bench.harness import Row, beside, cost, in_turns
from bench.nsq import SERVICES, beat, pub, rate, register
from bench.peers.running import BIN, HOST, listening, running, told
from bench.plain_http import request
from bench.serving import Server, a_server
from tests.brokers import BEATS, free_port
from tests.faults.load.usage import cpu_s
from tests.postgres import Cluster, cluster

CLIENTS, PINGS = 16, 200
WORKERS = ("--workers=2", "--worker-class=gthread", f"--threads={CLIENTS // 2}", "--keep-alive=60")
"""Threads keep their connections: with gunicorn's plain workers, one connection a ping, it was about half as fast."""


def numbers(client: int) -> list[int]:
    """Who pings, of one client."""
    return [(client * PINGS + n) % SERVICES for n in range(PINGS)]


class Way:
    """One way in: what its clients send, and whose CPU it takes."""

    def __init__(self, name: str, send: Callable[[], Awaitable[float]], pids: list[int]) -> None:
        self.name, self._send, self._pids = name, send, pids
        self.cpu_us: list[float] = []

    async def __call__(self) -> float:
        before = sum(map(cpu_s, self._pids))
        found = await self._send()
        self.cpu_us.append((sum(map(cpu_s, self._pids)) - before) / (CLIENTS * PINGS) * 1e6)
        return found


async def run() -> list[Row]:
    with cluster(fsync=True) as server, server.fresh() as place:
        async with a_ping_app(server) as peer, a_server() as sqlite, a_server(f"--db={place.url}") as postgres:
            ways = [*await _ways("SQLite", sqlite), *await _ways("PostgreSQL", postgres)]
            theirs, *ours = await in_turns(peer, *ways)
    return [beside(way.name, rates, theirs, note=_note(way, peer)) for way, rates in zip(ways, ours, strict=True)]


def _note(way: Way, peer: Way) -> str:
    spent = f"{cost(way.cpu_us, ' µs')} against {cost(peer.cpu_us, ' µs')}"
    return f"CPU of the program a beat, without the database server's: {spent}"


async def _ways(engine: str, server: Server) -> list[Way]:
    await register(server)
    by_http = [[request("POST", f"/pub?topic={BEATS}", beat(n)) for n in numbers(client)] for client in range(CLIENTS)]
    by_nsq = [[pub(BEATS, beat(n)) for n in numbers(client)] for client in range(CLIENTS)]
    name, pids = f"beats by {CLIENTS} clients beside a Django ping path", [server.process.pid]
    addresses = server.addresses
    return [
        Way(f"{name}: POST /pub, {engine}", lambda: plain_http.rate(addresses["nsq-http"], by_http), pids),
        Way(f"{name}: PUB, {engine}", lambda: rate(addresses["nsq"], by_nsq, CLIENTS * PINGS), pids),
    ]


@contextlib.asynccontextmanager
async def a_ping_app(server: Cluster) -> AsyncIterator[Way]:
    """Served by gunicorn over a database of its own."""
    port, pings = (
        free_port(),
        [[request("GET", f"/ping/{uuid.UUID(int=n)}") for n in numbers(client)] for client in range(CLIENTS)],
    )
    with server.fresh("template0") as place:
        await told("ping_app", place.url, SERVICES)
        options = (f"--bind={HOST}:{port}", *WORKERS, "--chdir=bench/peers", "--log-level=error", "ping_app:application")
        async with running(str(BIN / "gunicorn"), *options, env={**os.environ, "PING_DSN": place.url}) as process:
            await listening(port)
            await plain_http.rate((HOST, port), [one[:20] for one in pings])  # both workers are up, and know their statements
            yield Way("pings", lambda: plain_http.rate((HOST, port), pings), _workers(process.pid))


def _workers(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

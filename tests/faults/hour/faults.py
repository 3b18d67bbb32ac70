"""What goes wrong during the hour, in a fixed order: each program killed and stopped, each connection cut and stalled.

Law: one thing at a time; the next begins only when every instance is ready again.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator

from msgspec import Struct

from tests.faults.hour.scale import Scale
from tests.faults.proxy import FaultProxy
from tools.cluster.cluster import Cluster
from tools.cluster.process import Process, is_well, until

WELL_WITHIN_S = 60.0
Act = Callable[[], Awaitable[object]]


class Fault(Struct, frozen=True):
    """Something that begins, lasts and ends."""

    name: str
    begin: Act
    end: Act


def all_faults(cluster: Cluster, proxies: dict[str, FaultProxy]) -> list[Fault]:
    """Each once."""
    found = [fault for process in cluster.processes for fault in of_process(process)]
    found += [_restart(cluster, "fast"), _restart(cluster, "immediate")]
    for name, proxy in proxies.items():
        found += [fault for pid in _whose(name, cluster) for fault in of_connection(name, proxy, pid)]
    return found


def of_process(process: Process) -> Iterator[Fault]:
    """Killed, and stopped."""

    async def tell(what: signal.Signals) -> None:
        process.tell(what)

    yield Fault(f"kill -9 of {process.name}", lambda: process.end(signal.SIGKILL), process.start)
    yield Fault(f"stop of {process.name}", lambda: tell(signal.SIGSTOP), lambda: tell(signal.SIGCONT))


def _restart(cluster: Cluster, how: str) -> Fault:
    server = cluster.postgres
    stop, start = (lambda: asyncio.to_thread(server.stop, how)), (lambda: asyncio.to_thread(server.start))
    return Fault(f"{how} restart of PostgreSQL", stop, start)


def _whose(name: str, cluster: Cluster) -> list[Process | None]:
    """A node is reached by all instances through one proxy: cut off all of them, and each alone."""
    alone: list[Process | None] = [*cluster.instances] if len(cluster.instances) > 1 else []
    return [None, *alone] if name.startswith("nsqd") else [None]


def of_connection(name: str, proxy: FaultProxy, of: Process | None = None) -> Iterator[Fault]:
    """Cut, and stalled."""

    async def act(what: Callable[[int], None]) -> None:
        what(of.pid if of else 0)

    async def resume() -> None:
        proxy.resume()

    whose = f" for {of.name}" if of else ""
    yield Fault(f"cut of {name}{whose}", lambda: act(proxy.cut), resume)
    yield Fault(f"stall of {name}{whose}", lambda: act(proxy.stall), resume)


async def go_wrong(faults: list[Fault], cluster: Cluster, scale: Scale, seed: int, told: Callable[[str], None]) -> None:
    """All of them, again and again until half of the run is over."""
    chance, loop = random.Random(seed), asyncio.get_running_loop()
    start = loop.time()
    while True:
        for fault in faults:
            began = loop.time() - start
            await fault.begin()
            await asyncio.sleep(chance.uniform(*scale.hold_s))
            await fault.end()
            ended = loop.time()
            what = f"all to be ready after {fault.name}"
            await until(lambda: _is_ready(cluster), what, why=lambda: _last_words(cluster), within_s=WELL_WITHIN_S)
            told(f"{began:7.1f} s  {fault.name}: ready {loop.time() - ended:.1f} s after its end")
            await asyncio.sleep(scale.calm_s)
        if loop.time() - start >= scale.length_s / 2:
            return


async def _is_ready(cluster: Cluster) -> bool:
    return all(await asyncio.gather(*(is_well(f"{one.url()}/readyz") for one in cluster.instances)))


def _last_words(cluster: Cluster) -> str:
    return "\n".join(f"{one.name}: {one.log.read_text(errors='replace')[-1_000:]}" for one in cluster.instances)

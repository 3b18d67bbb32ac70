"""The TCP interface in a process of its own: `store` on a real store, `dict` answering from memory, without a store."""

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from taskdash.actions import tasks as task_actions
from taskdash.clock import SystemClock
from taskdash.health import Parts
from taskdash.model.records import Task
from taskdash.store import tasks
from taskdash.store.database import Database
from taskdash.store.finds import FIELDS
from taskdash.store.migrations import runner
from taskdash.store.places import File
from taskdash.tcp.connection import Limits
from taskdash.tcp.server import TcpServer

STORED = 100_000


def a_task(n: int) -> Task:
    return Task(
        id=f"t{n}", name=f"任务 {n}", status="running", description="nightly", group_id="mx", url="http://localhost:8080/t"
    )


async def main(kind: str) -> None:
    clock = SystemClock()
    if kind == "store":
        path = Path(tempfile.mkdtemp()) / "taskdash.db"
        runner.upgrade(path)
        db = Database(File(path))
        db.start()
        for start in range(0, STORED, 10_000):
            await db.write(
                lambda conn, start=start: tasks.save(conn, [(None, a_task(n)) for n in range(start, start + 10_000)])
            )
        read: Any = db.read

        async def apply(batch: Any) -> Any:
            return await task_actions.apply_batch(db, batch, clock.now())
    else:
        known = {f"t{n}": tuple(getattr(a_task(n), f) for f in FIELDS) for n in range(STORED)}

        async def read(_query: Any) -> Any:
            return known

        async def apply(batch: Any) -> Any:
            return [None] * len(batch)

    async def lost(_peer: str, _ids: Any) -> None:
        return None

    async def vouch(_ids: Any) -> None:
        return None

    server = TcpServer(
        apply=apply, read=read, vouch=vouch, lost=lost, clock=clock, parts=Parts(clock), limits=Limits(connections=10_000)
    )
    _host, port = await server.start("127.0.0.1", 0)
    print(port, flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    serving = asyncio.create_task(server.run())
    await ended.wait()
    serving.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))

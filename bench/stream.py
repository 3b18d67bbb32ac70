"""A change told to 500 listeners of the event stream: time until the last has it, and the server's CPU."""

import asyncio
import json
import time

import aiohttp

from bench.harness import Row, cpu_s, p95, within
from bench.serving import Server, a_server

LISTENERS, CHANGES = 500, 40


async def listen(session: aiohttp.ClientSession, seen: dict[str, list[float]], ready: asyncio.Semaphore) -> None:
    async with session.get("/api/v1/stream") as stream:
        ready.release()
        async for line in stream.content:
            if line.startswith(b"data:"):
                subject = json.loads(line[5:])["subject"]["id"]
                seen.setdefault(subject, []).append(time.perf_counter())


async def change(server: Server, number: int) -> float:
    reader, writer = await asyncio.open_connection(*server.addresses["tcp"])
    pack = {"MessageID": 2, "Header": {"RequestID": "Register"}, "Body": {"id": f"change-{number}", "status": "running"}}
    writer.write(json.dumps(pack).encode() + b"\n")
    began = time.perf_counter()
    await reader.readline()
    writer.close()
    return began


async def run() -> list[Row]:
    seen: dict[str, list[float]] = {}
    ready = asyncio.Semaphore(0)
    async with a_server() as server, server.session() as session:
        listeners = [asyncio.create_task(listen(session, seen, ready)) for _ in range(LISTENERS)]
        for _ in range(LISTENERS):
            await ready.acquire()
        spent = cpu_s(server.process.pid)
        took = []
        for number in range(CHANGES):
            began = await change(server, number)
            while len(seen.get(f"change-{number}", ())) < LISTENERS:
                await asyncio.sleep(0.001)
            took.append((max(seen[f"change-{number}"]) - began) * 1_000)
        cpu = (cpu_s(server.process.pid) - spent) / CHANGES / LISTENERS * 1e6
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    return [
        within(f"a change until the last of {LISTENERS} listeners has it, p95", p95(took), 100.0),
        Row("the same: CPU of the server a listener and change", f"{cpu:.0f} µs", "-", None, "-", None),
    ]

"""One blocking Python client that looks tasks up, the same loop for both sides; the peers' Python runs it.

lookups.py redis|taskdash PORT TASKS COUNT DEPTH    prints lookups a second, `DEPTH` of them sent at once
lookups.py copy TASKDASH REDIS TASKS                what Find answers of every task, as the values of Redis
"""

import json
import random
import socket
import sys
import time
from collections.abc import Callable, Sequence

import redis  # type: ignore[import-not-found]

HOST = "127.0.0.1"
Look = Callable[[Sequence[str]], list[bytes]]
"""The texts of these tasks, in order; sent at once, as one."""


def of_redis(port: int) -> Look:
    client = redis.Redis(HOST, port)

    def look(ids: Sequence[str]) -> list[bytes]:
        if len(ids) == 1:
            return [client.get(ids[0])]
        pipeline = client.pipeline(transaction=False)
        for one in ids:
            pipeline.get(one)
        return pipeline.execute()

    return look


def of_taskdash(port: int) -> Look:
    connection = socket.create_connection((HOST, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    answers = connection.makefile("rb")

    def look(ids: Sequence[str]) -> list[bytes]:
        connection.sendall(b"".join(_find(one) for one in ids))
        return [answers.read(int.from_bytes(answers.read(4), "big")) for _ in ids]

    return look


def _find(task_id: str) -> bytes:
    raw = json.dumps({"MessageID": 2, "Header": {"RequestID": "Find"}, "Body": {"id": task_id}}).encode()
    return len(raw).to_bytes(4, "big") + raw


def looked_up(look: Look, tasks: int, count: int, depth: int) -> float:
    """Lookups a second; every answer is decoded and is of the task that was asked for."""
    ids = [f"task-{random.randrange(tasks)}" for _ in range(count)]
    began = time.perf_counter()
    for start in range(0, count, depth):
        some = ids[start : start + depth]
        if [json.loads(text)["Body"]["id"] for text in look(some)] != some:
            raise RuntimeError(f"wrong answers to {some}")
    return count / (time.perf_counter() - began)


def copied(taskdash: int, redis_port: int, tasks: int) -> None:
    look, client = of_taskdash(taskdash), redis.Redis(HOST, redis_port)
    for start in range(0, tasks, 16):
        ids = [f"task-{n}" for n in range(start, min(start + 16, tasks))]
        client.mset(dict(zip(ids, look(ids), strict=True)))


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    port, *rest = map(int, numbers)
    if kind == "copy":
        copied(port, *rest)
    else:
        print(looked_up({"redis": of_redis, "taskdash": of_taskdash}[kind](port), *rest))

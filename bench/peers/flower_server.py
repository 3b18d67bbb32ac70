"""Flower over many tasks: `flower_server.py PORT TASKS`. Prints `ready`.

Its state is fed by the same calls that its event receiver makes; the broker is one in memory, with no worker behind it.
"""

import sys
from typing import Any

from celery import Celery  # type: ignore[import-not-found]
from flower.events import Events  # type: ignore[import-not-found]

PORT, TASKS = sys.argv[1], int(sys.argv[2])
WORDS = ("order", "sync", "nightly", "report", "index", "mail")
BEGAN = 1_800_000_000


def fed(events: Any) -> None:
    """Two events a task: received, and started or done."""
    for n in range(TASKS):
        told = {"uuid": f"task-{n}", "hostname": f"worker-{n % 50}", "pid": 1, "utcoffset": 0}
        at = {"timestamp": BEGAN + n, "local_received": BEGAN + n, "clock": 2 * n}
        events.state.event(
            {**told, **at, "type": "task-received", "name": f"jobs.{WORDS[n % 6]}", "args": "()", "kwargs": "{}"}
        )
        events.state.event({**told, **at, "clock": 2 * n + 1, "type": "task-started" if n % 3 else "task-succeeded"})


def start(events: Any) -> None:
    """In place of a broker that is listened to."""
    fed(events)
    print("ready", flush=True)


Events.start = start
Celery(broker="memory://").start(["flower", f"--port={PORT}", "--address=127.0.0.1", f"--max_tasks={TASKS}", "--logging=error"])

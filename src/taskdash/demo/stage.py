"""Five sample task services that really push over NSQ and serve their metadata by HTTP; one falls silent and comes back.

Law: nothing here knows the inside of TaskDash: only the client, as any program would.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any

import msgspec

from taskdash.client.api import OverNsq, OverNsqHttp, Teller
from taskdash.client.service import TaskService

HEARTBEAT_S, COLLECT_S = 5.0, 5.0
STEP_S = 3.0
FIRST_SILENCE_S, SILENT_S, CYCLE_S = 30.0, 60.0, 240.0
_NEXT = {"waiting": "running", "running": "finish", "finish": "waiting", "failed": "restart", "restart": "running"}
_OF_THE_SEED = {"130", "131", "132", "133", "137"}
"""These keep the status that the original interface text shows."""
_FAILS_EVERY = 11


def seed() -> Mapping[str, Any]:
    """Groups, users, services and their tasks."""
    text = files("taskdash.demo").joinpath("seed.json").read_bytes()
    found: Mapping[str, Any] = msgspec.json.decode(text)
    return found


class Sample:
    """One sample service: its tasks outlive its falling silent."""

    def __init__(self, spec: Mapping[str, Any], nsq: tuple[str, int], nsq_http: str) -> None:
        self._spec = spec
        self._nsq, self._nsq_http = nsq, nsq_http
        self._tasks = {task["id"]: {"group_id": spec["group"]} | task for task in spec["tasks"]}
        self._moves = self._turns()
        self._moved = 0
        self._service: TaskService | None = None
        self.falls_silent: bool = spec.get("falls_silent", False)

    def start(self) -> None:
        """Begin to push and to answer."""
        if self._service is None:
            self._service = TaskService(
                self._teller(),
                self._spec["id"],
                self._spec["name"],
                type=self._spec["type"],
                description=self._spec["description"],
                group=self._spec["group"],
                heartbeat_interval_s=HEARTBEAT_S,
                collect_interval_s=COLLECT_S,
            )
            for task in self._tasks.values():
                self._service.put(task | {"url": f"{self._service.url}/{task['id']}"})
            self._service.start()

    def stop(self) -> None:
        """Fall silent, without a word, as a program that died."""
        if self._service is not None:
            self._service.stop(goodbye=False)
            self._service = None

    def move(self) -> None:
        """One of its tasks goes on to its next status."""
        task_id = next(self._moves, None)
        if self._service is None or task_id is None:
            return
        self._moved += 1
        task = self._tasks[task_id]
        fails = task["status"] == "running" and self._moved % _FAILS_EVERY == 0
        self._tasks[task_id] = task | {"status": "failed" if fails else _NEXT.get(task["status"], task["status"])}
        self._service.put(self._tasks[task_id] | {"url": f"{self._service.url}/{task_id}"})

    def _turns(self) -> Iterator[str]:
        movable = [key for key, task in self._tasks.items() if key not in _OF_THE_SEED and task["status"] in _NEXT]
        while movable:
            yield from movable

    def _teller(self) -> Teller:
        return OverNsq(self._nsq) if self._spec["way"] == "nsq" else OverNsqHttp(self._nsq_http)


class Stage:
    """All of them, moving on a thread until `stop`."""

    def __init__(self, nsq: tuple[str, int], nsq_http: str) -> None:
        self.samples = [Sample(spec, nsq, nsq_http) for spec in seed()["services"]]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Every service begins."""
        self._thread.start()

    def stop(self) -> None:
        """Every service ends."""
        self._end.set()
        self._thread.join()
        for sample in self.samples:
            sample.stop()

    def _run(self) -> None:
        elapsed_s = 0.0
        for sample in self.samples:
            sample.start()
        while not self._end.wait(STEP_S):
            elapsed_s += STEP_S
            for sample in self.samples:
                with suppress(OSError):
                    _play(sample, elapsed_s)


def _play(sample: Sample, elapsed_s: float) -> None:
    if sample.falls_silent and is_silent(elapsed_s):
        sample.stop()
    else:
        sample.start()
        sample.move()


def is_silent(elapsed_s: float) -> bool:
    """Whether the one that falls silent is so, this long after the start."""
    return elapsed_s >= FIRST_SILENCE_S and (elapsed_s - FIRST_SILENCE_S) % CYCLE_S < SILENT_S

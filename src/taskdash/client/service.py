"""A task service in a few lines: registers, beats, and answers TaskDash's question which tasks it runs (SPEC 2, 4).

    with TaskService(OverNsqHttp(), "etl-1", "ETL", group="pay") as service:
        service.put({"id": "133", "name": "zxf", "status": "running"})

Law: TaskDash being away never disturbs the program: telling happens on a thread of its own, is tried again at each beat, and
`on_trouble` hears the reason. Standard library only.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Self

from taskdash.client.api import NotTold, Teller

_REGISTER_EVERY_BEATS = 360
"""Services register again now and then: nsqd may have lost the first one (SPEC 2)."""


class TaskService:
    """One service and its tasks. Open it with `with`, or `start` and `stop`."""

    def __init__(
        self,
        teller: Teller,
        service_id: str,
        name: str,
        *,
        type: str = "",
        description: str = "",
        group: str = "",
        heartbeat_interval_s: float = 10.0,
        collect_interval_s: float | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        on_trouble: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.id = service_id
        self._teller = teller
        self._texts = {"id": service_id, "name": name, "type": type, "description": description}
        hints: dict[str, str | float | None] = {
            "heartbeat_interval": heartbeat_interval_s,
            "collect_interval": collect_interval_s,
            "group_id": group,
            "host": socket.gethostname(),
        }
        self._hints = {key: value for key, value in hints.items() if value}
        self._interval_s = heartbeat_interval_s
        self._on_trouble = on_trouble
        self._tasks: dict[str, Mapping[str, str]] = {}
        self._change = threading.Condition()
        self._version, self._asked_version = 0, -1
        self._looks = 0
        self._stopping = threading.Event()
        self.is_registered = False
        self._server = _Server(listen, self)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._beat_on, self._answer_on)]

    @property
    def url(self) -> str:
        """Where it answers which tasks it runs."""
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}/tasks{f'/{self._looks}' if self._looks else ''}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Answer, register and beat from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, goodbye: bool = True) -> None:
        """End; with `goodbye` TaskDash knows that it was on purpose."""
        self._stopping.set()
        with self._change:
            self._change.notify_all()
        self._threads[0].join()
        self._server.shutdown()
        self._server.server_close()
        if goodbye and self.is_registered:
            with suppress(NotTold):
                self._teller.beat(self.id, json.dumps({"leaving": True}))

    def put(self, task: Mapping[str, str]) -> None:
        """Add the task, or replace what was said of it: TaskMetaData, `id` at least."""
        with self._change:
            self._tasks = self._tasks | {task["id"]: dict(task)}
            self._version += 1

    def remove(self, task_id: str) -> None:
        """It no longer runs here; TaskDash marks it gone."""
        with self._change:
            self._tasks = {key: task for key, task in self._tasks.items() if key != task_id}
            self._version += 1

    def register(self) -> bool:
        """Tell TaskDash who this is; it asks a new service for its tasks at once. True when TaskDash took it."""
        said = self._texts | {"url": self.url, "reserved": json.dumps(self._hints)}
        told = self._told(lambda: self._teller.register(said))
        self.is_registered = told or self.is_registered
        return told

    def look_now(self) -> bool:
        """Have TaskDash ask for the tasks at once: a url that changed is asked at once. True when TaskDash took it."""
        self._looks += 1
        return self.register()

    def wait_until_asked(self, timeout_s: float) -> bool:
        """True once TaskDash has asked for the tasks as they are now."""
        with self._change:
            wanted = self._version
            return self._change.wait_for(lambda: self._asked_version >= wanted, timeout_s)

    def answer(self) -> tuple[bytes, int]:
        """The tasks as TaskDash wants them, and which version of them that is."""
        with self._change:
            return json.dumps(list(self._tasks.values()), ensure_ascii=False).encode(), self._version

    def answered(self, version: int) -> None:
        """TaskDash has got that version."""
        with self._change:
            self._asked_version = max(version, self._asked_version)
            self._change.notify_all()

    def _answer_on(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def _beat_on(self) -> None:
        beats = 0
        while not self._stopping.is_set():
            if not self.is_registered or beats % _REGISTER_EVERY_BEATS == 0:
                self.register()
            self._beat()
            beats += 1
            self._stopping.wait(self._interval_s)

    def _beat(self) -> None:
        if self.is_registered:
            self._told(lambda: self._teller.beat(self.id))

    def _told(self, tell: Callable[[], None]) -> bool:
        try:
            tell()
        except NotTold as error:
            if error.status == 404:
                self.is_registered = False
            self._on_trouble(str(error))
            return False
        return True


class _Server(ThreadingHTTPServer):
    """Answers every GET and POST with the tasks."""

    daemon_threads = True

    def __init__(self, listen: tuple[str, int], service: TaskService) -> None:
        self.service = service
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        super().__init__(listen, _Answer)

    def server_bind(self) -> None:
        """Without the look-up of the host's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        """The tasks."""
        body, version = self.server.service.answer()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.service.answered(version)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the program."""

"""Registers a service and beats through pynsq, unchanged."""

import json
import sys
from typing import Any

import nsq
from tornado.ioloop import IOLoop

address, service_id = sys.argv[1:]
beat = json.dumps({"id": service_id, "reserved": ""}).encode()
steps = [
    ("pub", "taskdash.services", json.dumps({"id": service_id, "name": "python", "type": "pynsq"}).encode()),
    ("pub", "taskdash.heartbeats", beat),
    ("mpub", "taskdash.heartbeats", [beat, beat]),
]


def publish() -> None:
    if not steps:
        sys.stdout.write("done\n")
        IOLoop.current().stop()
        return
    name, topic, message = steps.pop(0)
    getattr(writer, name)(topic, message, answered)


def answered(_connection: Any, answer: Any) -> None:
    if answer != b"OK":
        sys.exit(f"not OK: {answer!r}")
    publish()


writer = nsq.Writer([address])
IOLoop.current().call_later(1.0, publish)
IOLoop.current().start()

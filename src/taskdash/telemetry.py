"""Logs and metrics. One message is one line of JSON, whatever it holds (RELIABILITY R158); secrets are blotted out (R159).

Metrics have no label that comes from outside (R112).
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

_SECRET = re.compile(r"tdk_[0-9A-Za-z]{36}|(?i:bearer|cookie|authorization|password)[=: ]+\S+|//[^/@\s]+@")
_LONGEST = 1_024
registry = CollectorRegistry()


def _count(name: str, meaning: str) -> Counter:
    return Counter(f"taskdash_{name}", meaning, registry=registry)


messages_stored = _count("messages_stored", "NSQ messages stored durably")
dead_letters = _count("dead_letters", "messages that could not be understood")
tcp_requests = _count("tcp_requests", "requests answered on the TCP interface")
http_requests = _count("http_requests", "requests answered over HTTP")
collections = _count("collections", "answers collected from task services")
collect_failures = _count("collect_failures", "collections that failed")
events_written = _count("events", "lines of history written")
part_ready = Gauge("taskdash_part_ready", "1 while the part works", ["part"], registry=registry)


def _clean(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in line.items():
        if isinstance(value, str):
            line[key] = _SECRET.sub("***", value)[:_LONGEST]
    return line


def start_logging() -> None:
    """Send one-line JSON to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _clean,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


log: Any = structlog.get_logger("taskdash")

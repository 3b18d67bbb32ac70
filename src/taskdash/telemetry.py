"""Logs and metrics. One message is one line of JSON, whatever it holds (RELIABILITY R158); secrets are blotted out (R159).

Metrics have no label that comes from outside (R112). What libraries log through `logging` leaves by the same door.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

_SECRET = re.compile(
    r"tdk_[0-9A-Za-z]{36}"
    r"|(?i:(?:set-)?cookie|(?:proxy-)?authorization)[\"'\\]*\s*[=:,]\s*[^\r\n]+"
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]+"
    r"|(?i:password|passwd|secret|token)[\"'\\]*\s*[=:]\s*(?:\\*\"[^\"]*\"|\\*'[^']*'|[^\s,;&)}\]]+)"
    r"|(?<=//)[^/@\s]+(?=@)"
)
_SECRET_BYTES = re.compile(_SECRET.pattern.encode())
LONGEST = 1_024
registry = CollectorRegistry()


def _count(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"taskdash_{name}", meaning, labels, registry=registry)


messages_stored = _count("messages_stored", "NSQ messages stored durably")
dead_letters = _count("dead_letters", "messages that could not be understood")
tcp_requests = _count("tcp_requests", "requests answered on the TCP interface")
http_requests = _count("http_requests", "requests answered over HTTP, by class of status", "status")
sign_ins = _count("sign_ins", "attempts to sign in, by outcome", "outcome")
secrets_refused = _count("secrets_refused", "wrong tokens on the TCP interface and wrong secrets on the NSQ ones")
collections = _count("collections", "answers collected from task services")
collect_failures = _count("collect_failures", "collections that failed")
events_written = _count("events", "lines of history written")
wal_bytes = Gauge("taskdash_wal_bytes", "size of the embedded store's log (its WAL)", registry=registry)
wal_alarm = Gauge("taskdash_wal_alarm", "1 while that log is longer than 256 MiB", registry=registry)
tasks = Gauge("taskdash_tasks", "what runs at once on the event loop", registry=registry)
part_ready = Gauge("taskdash_part_ready", "1 while the part works", ["part"], registry=registry)


def redacted(text: str) -> str:
    """The text without tokens, cookies, passwords and userinfo of urls."""
    return _SECRET.sub("***", text)


def redacted_bytes(body: bytes) -> bytes:
    """The same of what may be no text."""
    return _SECRET_BYTES.sub(b"***", body)


def _clean(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Only short texts, numbers and truths leave; of a stack its end, where the error is named."""
    for key, value in line.items():
        if value is None or isinstance(value, int | float):
            continue
        text = redacted(value if isinstance(value, str) else repr(value))
        line[key] = text[-LONGEST:] if key == "exception" else text[:LONGEST]
    return line


def _line(values: Any, **_options: Any) -> str:
    """JSON escapes control characters and all beyond ASCII, but not DEL."""
    return json.dumps(values, ensure_ascii=True).replace("\x7f", "\\u007f")


class _Relay(logging.Handler):
    """Records of the standard library's logging become lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record, one line."""
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def start_logging() -> None:
    """Send one-line JSON to standard error, with every character beyond printable ASCII escaped; warnings and crashes too."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _clean,
            structlog.processors.JSONRenderer(serializer=_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    root = logging.getLogger()
    root.handlers = [_Relay(logging.WARNING)]
    logging.captureWarnings(True)
    threading.excepthook = _of_thread


def _of_thread(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None and not isinstance(crash.exc_value, SystemExit):
        crashed(crash.exc_value)


def crashed(error: BaseException) -> None:
    """What nobody caught, as a line like any other: a plain traceback would have many, and could hold a secret (R159)."""
    log.critical("unforeseen error", error=repr(error), exc_info=error)


log: Any = structlog.get_logger("taskdash")

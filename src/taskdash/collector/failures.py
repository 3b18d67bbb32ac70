"""Why a url could not be collected, as one sentence. Law: never a byte of the answer or of a banner (RELIABILITY R168)."""

import errno

import aiohttp

from taskdash.collector.guard import Denied
from taskdash.collector.names import NoAddress
from taskdash.errors import TaskDashError
from taskdash.wire import metadata


class Failed(Exception):
    """The answer cannot be used; the argument is the sentence, without full stop."""


_BY_ERRNO = {
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EHOSTUNREACH: "there is no route to its host",
    errno.ENETUNREACH: "its network cannot be reached",
    errno.ETIMEDOUT: "it did not accept a connection in time",
    errno.EMFILE: "TaskDash has no file descriptor left",
    errno.ENFILE: "this machine has no file descriptor left",
}
_BY_TYPE: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "it did not accept a connection in time"),
    (aiohttp.ClientConnectorCertificateError, "its TLS certificate cannot be trusted"),
    (aiohttp.ClientSSLError, "TLS could not be agreed on"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "its answer broke off or could not be unpacked"),
    (aiohttp.ClientResponseError, "its answer is not HTTP"),
    (aiohttp.InvalidURL, "the url cannot be asked"),
    (aiohttp.ClientConnectionResetError, "the connection was reset"),
    (aiohttp.ClientConnectionError, "the connection failed"),
    (ValueError, "the url cannot be asked"),
)


def sentence(error: Exception, whole_s: float) -> str:
    """The sentence for any error that asking may raise; `whole_s` is the time that an answer may take."""
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, TaskDashError):
        return metadata.rule(error, "the answer")
    if type(error) is TimeoutError:
        return f"it did not answer within {whole_s:g} s"
    return _of_system(error) or next((text for kind, text in _BY_TYPE if isinstance(error, kind)), "the connection failed")


def _of_system(error: Exception) -> str:
    inner = getattr(error, "os_error", error)
    if isinstance(inner, Denied | NoAddress):
        return inner.reason
    return _BY_ERRNO.get(inner.errno or 0, "") if isinstance(inner, OSError) else ""

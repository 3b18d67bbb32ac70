"""`taskdash doctor`: checks each part and says in one sentence what is wrong and what to do (SPEC 9).

`doctor tcp ADDR` and `doctor nsq ADDR` try one protocol. Exit 1 when anything is wrong. Nothing is changed.
"""

import argparse
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from taskdash.commands import probes
from taskdash.commands.options import a_parser, add_serve_options, settings_of
from taskdash.commands.probes import Unwell
from taskdash.errors import StartRefused
from taskdash.settings.model import Settings
from taskdash.settings.values import Address, address
from taskdash.wire.nsq_stats import usual_http

_LEAST_FREE_BYTES = 256 * 1024 * 1024
Check = Callable[[], str]


def run(arguments: list[str]) -> int:
    """0 when everything is well."""
    if arguments[:1] == ["tcp"] or arguments[:1] == ["nsq"]:
        return _one_port(arguments[0], arguments[1:])
    parser = a_parser("doctor", "Check each part. `taskdash doctor tcp ADDR` and `taskdash doctor nsq ADDR` try a protocol.")
    add_serve_options(parser)
    options = parser.parse_args(arguments)
    try:
        settings = settings_of(options)
    except StartRefused as refused:
        return _report([partial(_fail, f"settings: {refused}")])
    return _report(_checks(settings))


def _one_port(protocol: str, arguments: list[str]) -> int:
    parser = a_parser(f"doctor {protocol}", f"Try the {protocol} protocol at an address.")
    parser.add_argument("address", metavar="ADDR")
    where = _address(parser.parse_args(arguments))
    if protocol == "tcp":
        return _report([partial(probes.tcp, where, os.environ.get("TASKDASH_TCP__TOKEN", ""))])
    return _report([partial(probes.nsq, where, os.environ.get("TASKDASH_NSQ__AUTH", ""))])


def _address(options: argparse.Namespace) -> Address:
    try:
        return address(options.address)
    except ValueError as rule:
        raise StartRefused(f"doctor: ADDR must be {rule}, not {options.address!r}", 2) from None


def _report(checks: Iterable[Check]) -> int:
    status = 0
    for check in checks:
        try:
            print(f"well    {check()}")
        except Unwell as wrong:
            print(f"UNWELL  {wrong}")
            status = 1
    return status


def _fail(sentence: str) -> str:
    raise Unwell(sentence)


def _checks(settings: Settings) -> Iterator[Check]:
    yield lambda: f"settings are good{f' ({settings.config})' if settings.config else ''}"
    if not settings.db:
        yield partial(_directory, settings)
        yield from _log(settings)
    yield partial(_store, settings)
    yield from _ports(settings) if _is_running(settings) else _free_ports(settings)
    for node in settings.nsqd:
        yield partial(probes.nsq, node, settings.nsq.auth)
    for node in settings.lookupd:
        yield partial(probes.http, node, "/ping", "nsqlookupd")
    if settings.is_cluster:
        yield from _channels(settings)


def _channels(settings: Settings) -> Iterator[Check]:
    topics = (settings.nsq.services_topic, settings.nsq.heartbeats_topic)
    http = {str(node): usual_http(str(node)) for node in settings.nsqd}
    for lookupd in settings.lookupd:
        http |= probes.nodes(lookupd, topics)
    for node, where in http.items():
        yield partial(probes.channels, node, where, topics, settings.nsq.nsq_channel)


def _directory(settings: Settings) -> str:
    path = settings.data_dir
    if not path.exists():
        return f"data directory {path} is not there yet; `taskdash serve` makes it"
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise Unwell(f"data directory {path} is not writable for uid {os.getuid()}: give it to that user, or choose another")
    if path.stat().st_mode & 0o077:
        raise Unwell(f"data directory {path} can be read by others: chmod 700 {path}")
    free_bytes = shutil.disk_usage(path).free
    if free_bytes < _LEAST_FREE_BYTES:
        raise Unwell(f"data directory {path} has only {free_bytes // 1_048_576} MiB of free disk: make room")
    return f"data directory {path}, {free_bytes // 1_048_576} MiB of free disk"


def _log(settings: Settings) -> Iterator[Check]:
    """Of the embedded store: it is long when somebody reads without an end (RELIABILITY R34)."""
    from taskdash.store import checkpoint, datadir

    size = checkpoint.size_of(checkpoint.log_of(settings.data_dir / datadir.DATABASE))
    if size > checkpoint.ALARM_BYTES:
        yield partial(
            _fail,
            f"the log of the store has {size // 1_048_576} MiB: something reads the store without an end "
            "(a backup program, an open sqlite3 shell): end it",
        )


def _store(settings: Settings) -> str:
    from taskdash.commands.stores import store_of

    try:
        store = store_of(settings)
        found, name = store.revision(), str(store)
    except StartRefused as refused:
        raise Unwell(str(refused)) from None
    if found is None:
        return f"store {name} is not there yet; `taskdash serve` makes it"
    return f"store {name} has schema {found}; `taskdash db check` looks at every row"


def _is_running(settings: Settings) -> bool:
    """Whether a server of these settings runs: on its own machine it owns the directory, else its port tells."""
    from taskdash.store import datadir

    return bool(settings.db) or (settings.data_dir.exists() and datadir.is_locked(settings.data_dir))


def _ports(settings: Settings) -> Iterator[Check]:
    if settings.http.listen.port:
        yield partial(probes.http, settings.http.listen, "/healthz", "http")
        yield partial(probes.http, settings.http.listen, "/readyz", "http")
    if settings.tcp.listen.port:
        yield partial(probes.tcp, settings.tcp.listen, settings.tcp.token)
    if not settings.is_cluster and settings.nsq_listen.port:
        yield partial(probes.nsq, settings.nsq_listen, settings.nsq.auth)
    if not settings.is_cluster and settings.nsq_http_listen.port:
        yield partial(probes.http, settings.nsq_http_listen, "/ping", "nsq-http")


def _free_ports(settings: Settings) -> Iterator[Check]:
    yield lambda: f"no server runs on {settings.data_dir}; start one with `taskdash serve`"
    listeners = {"http": settings.http.listen, "tcp": settings.tcp.listen}
    if not settings.is_cluster:
        listeners |= {"nsq": settings.nsq_listen, "nsq-http": settings.nsq_http_listen}
    for what, where in listeners.items():
        yield partial(probes.free, what, where)

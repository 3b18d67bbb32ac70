"""Every setting: its name, type, default, meaning and rule. The only home of defaults (SPEC 9, and the sections it serves).

A name here is the name in TOML; `[liveness] mass_hold` is `TASKDASH_LIVENESS__MASS_HOLD`. Numbers are seconds or bytes
unless the meaning says otherwise.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct, field

from taskdash.settings.values import (
    ROLES,
    Address,
    Key,
    Network,
    address,
    buffer_ms,
    choice,
    count,
    database,
    listed,
    network,
    node,
    number,
    path,
    seconds,
    size,
    text,
    time_zone,
    topic,
    truth,
)

MIB = 1024 * 1024
DAY = 86_400.0


class Http(Struct, frozen=True, kw_only=True):
    """Pages and the JSON API (SPEC 8)."""

    listen: Annotated[Address, Key("Where pages and API listen. `http = ADDR` and `--http` are short for it.", address)] = (
        Address("127.0.0.1", 8700)
    )
    hosts: Annotated[
        tuple[str, ...],
        Key("Names under which browsers reach TaskDash, beside the listen address and localhost.", listed(text)),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...], Key("Reverse proxies whose X-Forwarded-For and -Proto are believed.", listed(network))
    ] = ()


class Tcp(Struct, frozen=True, kw_only=True):
    """Register, Update, Find and 1392 (SPEC 5)."""

    listen: Annotated[Address, Key("Where the TCP interface listens. `tcp = ADDR` and `--tcp` are short for it.", address)] = (
        Address("127.0.0.1", 8701)
    )
    token: Annotated[str, Key("What a client must send as `Header.Token`; empty: nothing.", text, secret=True)] = ""
    max_frame_bytes: Annotated[int, Key("The largest pack.", size(1_024, 64 * MIB))] = MIB
    heartbeat_silence: Annotated[
        float, Key("A connection that sent 1392 is closed after this much silence.", seconds(1, DAY))
    ] = 30.0
    idle: Annotated[float, Key("A connection that never sent 1392 is closed after this much silence.", seconds(1, DAY))] = 600.0


class Nsq(Struct, frozen=True, kw_only=True):
    """Messages by NSQ, embedded or from a cluster (SPEC 2)."""

    services_topic: Annotated[str, Key("Topic of TaskService messages.", topic)] = "taskdash.services"
    heartbeats_topic: Annotated[str, Key("Topic of HeartBeat messages.", topic)] = "taskdash.heartbeats"
    nsq_channel: Annotated[str, Key("Cluster: the channel that all instances share.", topic)] = "taskdash"
    max_message_bytes: Annotated[int, Key("Embedded: the largest message.", size(1_024, 64 * MIB))] = MIB
    max_in_flight: Annotated[int, Key("Cluster: messages in hand at once, over all nsqd nodes.", count(1, 100_000))] = 2_500
    msg_timeout: Annotated[
        float, Key("Cluster: after this time nsqd gives a message of a dead instance to another.", seconds(1, 900))
    ] = 15.0
    output_buffer: Annotated[
        int | None,
        Key("Cluster: `off` (nothing waits in nsqd's output buffer), or milliseconds from 25 to 30000.", buffer_ms),
    ] = None
    auth: Annotated[
        str,
        Key("The secret of AUTH: asked of producers when embedded, sent to nsqd in a cluster; empty: none.", text, secret=True),
    ] = ""
    tls_cert: Annotated[Path | None, Key("PEM certificate: the endpoint's when embedded, the client's in a cluster.", path)] = (
        None
    )
    tls_key: Annotated[Path | None, Key("PEM key of `tls_cert`.", path)] = None
    tls_ca: Annotated[Path | None, Key("Cluster: PEM certificates that nsqd's is checked against; turns TLS on.", path)] = None


class Listen(Struct, frozen=True, kw_only=True):
    """Who may connect to the TCP interface and the embedded NSQ endpoint."""

    allow: Annotated[tuple[Network, ...], Key("Networks that may connect; empty: all that can reach it.", listed(network))] = ()


class Liveness(Struct, frozen=True, kw_only=True):
    """When a service is late or down (SPEC 3)."""

    late_factor: Annotated[float, Key("Late after this many intervals without a beat, plus the slack.", number(1, 100))] = 2.0
    down_factor: Annotated[float, Key("Down after this many intervals without a beat, plus the slack.", number(1, 100))] = 3.0
    mass_hold: Annotated[
        float, Key("How long services that fell silent together without a witness stay `unknown`.", seconds(0, DAY))
    ] = 120.0
    flapping_changes: Annotated[int, Key("Changes between up and down that make a service flapping.", count(2, 100))] = 3
    flapping_window: Annotated[float, Key("Within this time; and quiet for as long ends it.", seconds(1, DAY))] = 600.0
    archive_after: Annotated[float, Key("A service down or left for this long is archived.", seconds(1))] = 7 * DAY


class Collect(Struct, frozen=True, kw_only=True):
    """Asking task services for their tasks (SPEC 4), and which addresses may be asked (RELIABILITY 7)."""

    interval: Annotated[
        float, Key("How often a service is asked that gives no `collect_interval` itself.", seconds(1, DAY))
    ] = 15.0
    connect_timeout: Annotated[float, Key("Time to connect.", seconds(0.1, 600))] = 2.0
    timeout: Annotated[float, Key("Time for a whole answer.", seconds(0.1, 600))] = 5.0
    concurrency: Annotated[int, Key("Collections at once.", count(1, 10_000))] = 512
    per_origin: Annotated[int, Key("Collections at once of one host and port.", count(1, 10_000))] = 4
    max_bytes: Annotated[int, Key("The largest answer, decompressed.", size(1_024, 1_024 * MIB))] = 16 * MIB
    max_tasks: Annotated[int, Key("The most tasks of one service.", count(1, 10_000_000))] = 100_000
    allow: Annotated[
        tuple[Network, ...], Key("Addresses that may be asked although they are refused by default.", listed(network))
    ] = ()
    deny: Annotated[tuple[Network, ...], Key("Addresses that are never asked; wins over `allow`.", listed(network))] = ()
    ports: Annotated[
        tuple[int, ...], Key("Ports below 1024 that may be asked beside 80 and 443.", listed(count(1, 65_535)))
    ] = ()


class Tasks(Struct, frozen=True, kw_only=True):
    """Stored tasks."""

    keep_gone: Annotated[float, Key("Gone tasks that nobody holds are removed after this time.", seconds(1))] = 30 * DAY


class Events(Struct, frozen=True, kw_only=True):
    """History."""

    keep: Annotated[float, Key("Events older than this are removed, but never those of bindings.", seconds(DAY))] = 90 * DAY


class Access(Struct, frozen=True, kw_only=True):
    """Who sees what (SPEC 6)."""

    visibility: Annotated[
        Literal["all", "groups"],
        Key(
            "`all`: everyone signed in sees everything; `groups`: one's groups, what has no group, one's own.",
            choice("all", "groups"),
        ),
    ] = "all"


class Incidents(Struct, frozen=True, kw_only=True):
    """Things that are wrong now (SPEC 7)."""

    reminder_after: Annotated[float, Key("An incident that nobody acknowledged is told again after this time.", seconds(1))] = (
        900.0
    )


class Settings(Struct, frozen=True, kw_only=True):
    """All of them, and `origins`: where each value came from, by its dotted name."""

    data_dir: Annotated[Path, Key("Holds the embedded database. Default: the platform's user data directory.", path)]
    db: Annotated[str, Key("`postgresql://…`; empty: the embedded database.", database, secret=True)] = ""
    nsq_listen: Annotated[Address, Key("Embedded: where NSQ producers connect.", address)] = Address("127.0.0.1", 4150)
    nsq_http_listen: Annotated[Address, Key("Embedded: nsqd's HTTP (`/pub`, `/mpub`).", address)] = Address("127.0.0.1", 4151)
    nsqd: Annotated[tuple[Address, ...], Key("Cluster: nsqd nodes (TCP). One makes the input a cluster.", listed(node))] = ()
    lookupd: Annotated[
        tuple[Address, ...], Key("Cluster: nsqlookupd nodes (HTTP). One makes the input a cluster.", listed(node))
    ] = ()
    roles: Annotated[tuple[str, ...], Key("Which parts run; fewer than all need PostgreSQL.", listed(choice(*ROLES)))] = ROLES
    insecure: Annotated[
        bool, Key("Allow listeners that others can reach without authentication, and sign-in without TLS.", truth)
    ] = False
    time_zone: Annotated[str, Key("Of daily windows such as 12:00 to 18:00. Default: the machine's.", time_zone)]
    http: Http = Http()
    tcp: Tcp = Tcp()
    nsq: Nsq = Nsq()
    listen: Listen = Listen()
    liveness: Liveness = Liveness()
    collect: Collect = Collect()
    tasks: Tasks = Tasks()
    events: Events = Events()
    access: Access = Access()
    incidents: Incidents = Incidents()
    config: Path | None = None
    """The TOML file that was read."""
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def is_cluster(self) -> bool:
        """True when messages come from nsqd nodes, false when the embedded endpoint listens."""
        return bool(self.nsqd or self.lookupd)

"""What nsqlookupd and nsqd tell over HTTP: which nodes have a topic, which channels nobody reads. Pure. NSQ.md trap 21.

A channel keeps every message of its topic until somebody reads it. A misspelt `nsq.nsq_channel` makes one beside the right
one, and the one that nobody reads any more fills the disk for ever.
"""

from urllib.parse import urlencode

import msgspec
from msgspec import Struct, field

EPHEMERAL = "#ephemeral"


class Node(Struct, frozen=True):
    """One nsqd: `HOST:PORT` of its TCP and of its HTTP."""

    tcp: str
    http: str


class _Producer(Struct):
    broadcast_address: str
    tcp_port: int
    http_port: int = 0


class _Found(Struct):
    producers: list[_Producer] = []


class _Channel(Struct):
    channel_name: str
    depth: int = 0
    client_count: int | None = None
    """None: an nsqd that does not say."""


class _Topic(Struct):
    topic_name: str
    channels: list[_Channel] | None = field(default_factory=list)


class _Stats(Struct):
    topics: list[_Topic] | None = field(default_factory=list)


_found = msgspec.json.Decoder(_Found)
_stats = msgspec.json.Decoder(_Stats)


def nodes(body: bytes) -> list[Node]:
    """Who has the topic, from nsqlookupd's `/lookup`. Raises msgspec.DecodeError."""
    usable = [p for p in _found.decode(body).producers if p.broadcast_address and 0 < p.tcp_port < 65_536]
    return [Node(_address(p.broadcast_address, p.tcp_port), _address(p.broadcast_address, p.http_port)) for p in usable]


def usual_http(tcp: str) -> str:
    """Where nsqd's HTTP is by default: the port after that of its TCP."""
    host, _, port = tcp.rpartition(":")
    return f"{host}:{int(port) + 1}"


def stats_path(topic: str) -> str:
    """What to ask of nsqd's HTTP for `unread`."""
    return f"/stats?{urlencode({'format': 'json', 'topic': topic, 'include_clients': 'false'})}"


def unread(body: bytes, topic: str, own: str) -> list[str]:
    """One sentence for each other channel of the topic that nobody reads, from nsqd's `/stats`. Raises msgspec.DecodeError."""
    found = [
        channel for each in _stats.decode(body).topics or [] if each.topic_name == topic for channel in each.channels or []
    ]
    return [
        f"nobody reads the channel {channel.channel_name} of the topic {topic}, which holds {channel.depth} messages and grows"
        f" with each one: delete it, or, if it is the right one, correct nsq.nsq_channel, which is {own}"
        for channel in found
        if channel.client_count == 0 and channel.channel_name != own and not channel.channel_name.endswith(EPHEMERAL)
    ]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

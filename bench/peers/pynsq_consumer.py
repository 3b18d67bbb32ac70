"""Decodes and finishes every beat that one nsqd gives it and stores nothing: `pynsq_consumer.py NSQD CHANNEL`."""

import json
import sys

import nsq  # type: ignore[import-untyped]


def decoded(message: nsq.Message) -> bool:
    """True finishes the message."""
    json.loads(message.body)
    return True


NSQD, CHANNEL = sys.argv[1:]
nsq.Reader("taskdash.heartbeats", CHANNEL, decoded, nsqd_tcp_addresses=[NSQD], max_in_flight=2_500)
nsq.run()

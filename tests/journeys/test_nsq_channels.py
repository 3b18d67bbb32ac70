"""A channel that nobody reads is named before it fills the disk of an nsqd (NSQ.md trap 21)."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.brokers import BEATS, HOST, Lookupd, Nsqd, free_pair, running
from tests.consuming import Rig
from tests.journeys.commands import taskdash
from tests.support import eventually

SENTENCE = f"nobody reads the channel taskdsah of the topic {BEATS}, which holds 2 messages and grows with each one: delete it"


async def mistype(nsqd: Nsqd) -> None:
    """Make the channels, and one of a wrong name with two messages in it."""
    await nsqd.create()
    for channel in ("taskdsah", "fleeting%23ephemeral"):
        await nsqd.call("POST", f"/channel/create?topic={BEATS}&channel={channel}")
    await nsqd.publish([b'{"id":"s1"}', b'{"id":"s2"}'])
    await eventually(lambda: are_in_the_channel(nsqd))


async def are_in_the_channel(nsqd: Nsqd) -> bool:
    return bool((await nsqd.channel())["depth"] == 2)


@pytest.fixture
async def lookupd() -> AsyncIterator[Lookupd]:
    lookupd = Lookupd()
    async with running(lookupd):
        yield lookupd


@pytest.fixture
async def misread(lookupd: Lookupd, tmp_path: Path) -> AsyncIterator[Nsqd]:
    """An nsqd that nsqlookupd knows, with such a channel."""
    nsqd = Nsqd(tmp_path / "nsqd", f"-lookupd-tcp-address={HOST}:{lookupd.tcp}")
    async with running(nsqd):
        await mistype(nsqd)
        yield nsqd


async def test_the_consumer_warns_once_of_a_channel_that_nobody_reads(
    rig: Rig, misread: Nsqd, lookupd: Lookupd, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rig.consume(lookupds=[lookupd.address])
        await eventually(lambda: rig.hears(misread.address))
        await eventually(lambda: SENTENCE in caplog.text)
        await misread.end()
        await eventually(lambda: not rig.hears(misread.address))
        await misread.start()
        await eventually(lambda: rig.hears(misread.address))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [sentence for sentence in warnings if "nobody reads" in sentence] == [
        f"nsqd {misread.address}: {SENTENCE}, or, if it is the right one, correct nsq.nsq_channel, which is taskdash"
    ]


async def test_a_node_given_by_its_tcp_alone_is_looked_at_on_the_next_port(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nsqd = Nsqd(tmp_path / "nsqd", tcp=free_pair())
    other = Nsqd(tmp_path / "other", http=nsqd.tcp + 1)
    async with running(other, nsqd):
        await mistype(other)
        rig.consume([nsqd.address])
        await eventually(lambda: f"nsqd {nsqd.address}: {SENTENCE}" in caplog.text)


async def test_an_nsqd_whose_http_cannot_be_asked_is_consumed_all_the_same(
    rig: Rig, nsqd: Nsqd, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        rig.consume([nsqd.address])
        await eventually(lambda: f"the channels of nsqd {nsqd.address} could not be looked at" in caplog.text)
    assert rig.hears(nsqd.address)


async def test_the_doctor_names_the_channel_and_what_to_do(misread: Nsqd, lookupd: Lookupd, tmp_path: Path) -> None:
    at = (f"--data-dir={tmp_path / 'data'}", "--http=127.0.0.1:0", "--tcp=127.0.0.1:0", f"--lookupd={lookupd.address}")

    async def is_named() -> bool:
        return f"UNWELL  nsqd {misread.address}: {SENTENCE}" in (await taskdash("doctor", *at)).output

    await eventually(is_named, 30.0)
    await misread.call("POST", f"/channel/delete?topic={BEATS}&channel=taskdsah")
    assert f"well    nsqd {misread.address} keeps no messages that nobody reads" in (await taskdash("doctor", *at)).output

"""Looks once at the channels of an nsqd node, and says which of them nobody reads (NSQ.md trap 21)."""

import logging
from collections.abc import Sequence

import aiohttp
import msgspec

from taskdash.wire import nsq_stats

ANSWER_S = 3.0
log = logging.getLogger(__name__)


async def warn_of_unread(node: str, http: str, topics: Sequence[str], own: str) -> None:
    """A warning a channel. An nsqd whose HTTP cannot be asked there is left alone: TaskDash needs only its TCP."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            for topic in topics:
                for sentence in nsq_stats.unread(await _stats(session, http, topic), topic, own):
                    log.warning("nsqd %s: %s", node, sentence)
    except (aiohttp.ClientError, OSError, ValueError, msgspec.DecodeError) as error:
        log.info("the channels of nsqd %s could not be looked at on http %s (%s)", node, http, type(error).__name__)


async def _stats(session: aiohttp.ClientSession, http: str, topic: str) -> bytes:
    url = f"http://{http}{nsq_stats.stats_path(topic)}"
    async with session.get(url, allow_redirects=False, raise_for_status=True) as answer:
        return await answer.read()

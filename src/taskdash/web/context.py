"""What every route is given: the store, the feed, the clock, and the few settings that the web needs. Built by `app.py`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from typing import Any

from msgspec import Struct

from taskdash.clock import Clock
from taskdash.feed import Feed
from taskdash.health import Inputs, Parts
from taskdash.model.instants import Instant
from taskdash.rules.deadlines import Limits
from taskdash.rules.fleet import Seen
from taskdash.rules.roles import Visibility
from taskdash.settings.shown import Shown
from taskdash.store.database import Database


async def _nobody(_ids: Sequence[str]) -> None:
    return None


def _alone() -> Sequence[Seen]:
    return ()


class Web(Struct, kw_only=True):
    """The context of all routes. `collect_now` asks these services at once (the collector's)."""

    db: Database
    feed: Feed
    clock: Clock
    parts: Parts
    inputs: Inputs
    limits: Limits = Limits()
    visibility: Visibility = "all"
    zone: tzinfo = UTC
    hosts: tuple[str, ...] = ()
    """Names under which this server may be addressed, beside its own address and localhost (RELIABILITY R80)."""
    trusted_proxies: tuple[Any, ...] = ()  # networks; the framework checks this record and knows no union of them
    """Reverse proxies whose X-Forwarded-For and -Proto are believed; of nobody else (R165)."""
    is_loopback: bool = True
    """The listener is on loopback, so plain http is good enough to sign in."""
    insecure: bool = False
    instance: str = ""
    """By which the other instances on this store know this one; empty when it is alone."""
    others: Callable[[], Sequence[Seen]] = _alone
    """What they told of themselves last, for `hearing`."""
    version: str = ""
    started_at: Instant = 0
    settings: tuple[Shown, ...] = ()
    """Every setting with where it came from, for those who run TaskDash."""
    topics: tuple[str, str] = ("taskdash.services", "taskdash.heartbeats")
    """Of registrations and of beats, for the first-run page."""
    collect_now: Callable[[Sequence[str]], Awaitable[None]] = _nobody
    addresses: dict[str, str] = {}
    """Where the other parts listen, for the first-run page and `doctor`."""

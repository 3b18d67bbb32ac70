"""R11: a beat that was acknowledged is stored, whatever happens to TaskDash then."""

import asyncio
from pathlib import Path

from taskdash.clock import SystemClock
from taskdash.store import services
from taskdash.store.places import Place
from tests.journeys.test_serve import publish
from tests.serving import serving

KILLS = 3


async def test_R11_an_acknowledged_beat_is_stored_when_taskdash_is_killed_at_once(
    tmp_path: Path, engine: list[str], served: Place
) -> None:
    for kill in range(KILLS):
        async with serving(tmp_path / "data", *engine) as server:
            names = [f"s{kill}-{number}" for number in range(5)]
            for name in names:
                await publish(server, "taskdash.services", {"id": name})
            before = SystemClock.wall_now()
            await asyncio.gather(*(publish(server, "taskdash.heartbeats", {"id": name}) for name in names))
            server.kill()
            await server.ended()
        with served.open_readers().connect() as conn:
            known = services.load_many(conn, names)
        assert all((known[name].last_beat_at or 0) >= before for name in names)

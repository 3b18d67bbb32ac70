"""A task service with 50 tasks: /same with a validator, /plain without, /changes with new statuses each time."""

import asyncio
import itertools
import json
import signal

from aiohttp import web

STATUSES = itertools.cycle(("running", "finish", "waiting"))


def tasks(status: str) -> list[dict[str, str]]:
    return [{"id": f"t{n}", "name": f"任务 {n}", "status": status, "description": "nightly"} for n in range(50)]


async def same(request: web.Request) -> web.Response:
    if request.headers.get("If-None-Match") == '"1"':
        return web.Response(status=304, headers={"ETag": '"1"'})
    return web.json_response(tasks("running"), headers={"ETag": '"1"'})


async def plain(_request: web.Request) -> web.Response:
    return web.Response(text=json.dumps(tasks("running")), content_type="application/json")


async def changes(_request: web.Request) -> web.Response:
    return web.json_response(tasks(next(STATUSES)))


async def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/same", same), web.get("/plain", plain), web.get("/changes", changes)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())

"""One program of a cluster: started with its log in a file, ended by its own process id. Law: nothing else is ever ended.

It runs in a session of its own, so that Ctrl-C reaches only who started it and each program ends in its turn.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp

HOST = "127.0.0.1"
START_WITHIN_S, LOOK_EVERY_S = 30.0, 0.05


class Process:
    """`command` as it is run, again and again on the same ports. `health`: its HTTP that answers 200 once it is up."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, health: str) -> None:
        self.name = name
        self.command = command
        self.output, self.log = folder / f"{name}.out", folder / f"{name}.log"
        self._health = health
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def start(self) -> None:
        """Run it, and wait until it answers. Raises RuntimeError with the end of its log."""
        with self.output.open("ab") as output, self.log.open("ab") as log:
            os.chmod(self.output, 0o600)
            self._process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=log, start_new_session=True
            )
        await until(self.answers, f"{self.name} to answer", lambda: bool(self.pid), self._why)

    async def answers(self) -> bool:
        """Whether its health address answers 200 now."""
        return bool(self.pid) and await is_well(self._health)

    def tell(self, what: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.pid and self._process is not None:
            self._process.send_signal(what)

    async def end(self, how: signal.Signals = signal.SIGTERM, within_s: float = 15.0) -> int:
        """Send a signal and wait for the end; what does not end in time is killed. Returns the exit status."""
        self.tell(how)
        if self._process is None:
            return 0
        try:
            return await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            self.tell(signal.SIGKILL)
            return await self._process.wait()

    def _why(self) -> str:
        return self.log.read_text(errors="replace")[-2_000:]


async def is_well(url: str) -> bool:
    """Whether that address answers 200 within a second."""
    try:
        limit = aiohttp.ClientTimeout(total=1.0)
        async with aiohttp.ClientSession(timeout=limit, trust_env=False) as session, session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):
        return False


async def until(
    is_so: Callable[[], Awaitable[bool]],
    what: str,
    may_come: Callable[[], bool] = lambda: True,
    why: Callable[[], str] = lambda: "",
    within_s: float = START_WITHIN_S,
) -> None:
    """Wait until it is so. Raises RuntimeError when it cannot come any more, or not in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not await is_so():
        if not may_come() or loop.time() > end:
            raise RuntimeError(f"waited in vain for {what}: {why()}")
        await asyncio.sleep(LOOK_EVERY_S)

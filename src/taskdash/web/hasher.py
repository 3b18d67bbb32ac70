"""Passwords are hashed on two threads of their own, with a short queue, so that a sign-in storm harms nobody (R106, R151).

argon2id, 19 MiB, t=2, p=1 (R150); an unknown user costs the same as a known one (R153).
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from taskdash.errors import Busy

T = TypeVar("T")
THREADS, MOST_WAITING = 2, 16
_argon2 = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$Qpy/dq8XnDjEYz1sKNP5ig$m2dVfm8UlgUyiyK0qjIZ1lpbi9vnZbasqtbBJpsMkDg"
"""Of 256 random bits that nobody knows."""


def hash_now(password: str) -> str:
    """The argon2id hash; takes about 30 ms of this thread."""
    return _argon2.hash(password)


def is_outdated(stored: str) -> bool:
    """True when the hash was made with weaker parameters than today's."""
    return _argon2.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _argon2.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


class Hasher:
    """Hashes and verifies off the loop. Raises Busy when 16 wait already."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The argon2id hash of a new password."""
        return await self._run(partial(hash_now, password))

    async def verify(self, stored: str, password: str) -> bool:
        """True when `password` is the one; an empty `stored` (no such user) takes as long and is False."""
        if not stored:
            await self._run(partial(_verify, _NOBODYS, password))
            return False
        return await self._run(partial(_verify, stored, password))

    async def _run(self, work: "partial[T]") -> T:
        if self._waiting >= THREADS + MOST_WAITING:
            raise Busy("too many sign-ins at once; try again in a moment", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

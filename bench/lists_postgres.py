"""The task list at 1,000,000 tasks on a PostgreSQL of Debian's with fsync: the same queries as `lists`."""

from bench.harness import Row
from bench.lists import on_a_server


def run() -> list[Row]:
    return on_a_server()

"""What a file of pg_dump (custom format) holds, as pg_restore tells it: its list, and its statements one after the other.

Law: reads the file alone, never a server. Rows are passed on as the bytes that COPY takes; nothing interprets them but
`refuse_newer`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from taskdash.errors import StartRefused
from taskdash.store import programs_postgres
from taskdash.store.migrations import steps

_TABLE = re.compile(r"^\d+; \d+ \d+ TABLE (\S+) (\S+) ", re.MULTILINE)
_COPY = re.compile(rb'^COPY (?:"(?:[^"]|"")+"|\S+?)\.(\S+) .* FROM stdin;\n$')
_OURS = {"alembic_version", "events", "store_facts", "task_grams", "tasks"}
_NOT_FOR_A_SERVER = (b"\\restrict ", b"\\unrestrict ", b"SET transaction_timeout")
"""What psql alone understands, and what only servers newer than the oldest do."""
Statement = tuple[bytes, str, Iterator[bytes]]
"""(SQL, "", no lines) or (COPY … FROM stdin, the table, its lines), which are to be read to their end before the next one."""


def tables(path: Path) -> tuple[str, set[str]]:
    """(schema, names) of the tables in it. Raises StartRefused when it cannot be read or holds no TaskDash store."""
    with programs_postgres.output(programs_postgres.found("pg_restore"), "--list", str(path)) as printed:
        listed = _TABLE.findall(printed.read().decode())
    names = {name for _schema, name in listed}
    if not names >= _OURS:
        raise StartRefused(f"{path} holds no TaskDash store")
    return next(schema for schema, name in listed if name == "alembic_version"), names


@contextmanager
def statements(path: Path, *options: str) -> Iterator[Iterator[Statement]]:
    """All that brings it back, in order; `options` are those of pg_restore that choose a part."""
    program = programs_postgres.found("pg_restore")
    with programs_postgres.output(program, "--file=-", "--no-owner", "--no-privileges", *options, str(path)) as printed:
        yield _split(iter(printed))


def _split(lines: Iterator[bytes]) -> Iterator[Statement]:
    sql: list[bytes] = []
    for line in lines:
        if begins := _COPY.match(line):
            yield b"".join(sql), "", iter(())
            sql.clear()
            yield line.rstrip(b";\n"), begins.group(1).decode().strip('"'), takewhile(lambda row: row != b"\\.\n", lines)
        elif not line.startswith(_NOT_FOR_A_SERVER):
            sql.append(line)
    yield b"".join(sql), "", iter(())


def rows(path: Path) -> dict[str, int]:
    """How many rows of each table it holds: read to the end, and so unpacked whole."""
    with statements(path, "--data-only") as all_of_them:
        return {table: sum(1 for _line in lines) for _sql, table, lines in all_of_them if table}


def refuse_newer(path: Path) -> None:
    """Raises StartRefused when this program cannot work on its schema."""
    cells: dict[str, list[list[str]]] = {}
    with statements(path, "--data-only", "--table=alembic_version", "--table=store_facts") as parts:
        for _sql, table, lines in parts:
            cells[table] = [line.decode().rstrip("\n").split("\t") for line in lines]
    if not cells.get("alembic_version"):
        raise StartRefused(f"{path} holds no TaskDash store")
    facts = {key: value for key, value in cells.get("store_facts", [])}
    steps.refuse_newer(cells["alembic_version"][0][0], facts.get(steps.WORKS_WITH), path)

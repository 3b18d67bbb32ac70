"""The search index over id, name and description of tasks. STORE.md.

Law: written only by `store.tasks.save` and `remove`, and for a whole store by `store.copying`.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from taskdash.model.records import Task
from taskdash.store.dialect import of
from taskdash.store.grams import tokens, words

RARE = 2_000
"""Up to so many candidates are fetched and sorted; a commoner text is found by walking the list."""
_MOST_TOKENS = 16


def text_of(task: Task) -> tuple[str, str, str]:
    """What is searched of a task."""
    return (task.id, task.name, task.description)


def document(task: Task) -> str:
    """The tokens of a task, as the index holds them."""
    return document_of(text_of(task))


def document_of(texts: Iterable[str]) -> str:
    """The tokens of a task, by what `text_of` gives of it."""
    return " ".join(tokens("\n".join(texts)))


def index(conn: Connection, changes: Iterable[tuple[Task | None, Task | None, int]]) -> None:
    """Take (before, after, pk) into the index; a task whose text did not change costs nothing."""
    changed = [(b, a, pk) for b, a, pk in changes if b is None or a is None or text_of(b) != text_of(a)]
    of(conn).remove_grams(conn, [(pk, document(before)) for before, _after, pk in changed if before])
    of(conn).add_grams(conn, [(pk, document(after)) for _before, after, pk in changed if after])


def candidates(conn: Connection, query: str) -> list[int] | None:
    """Pks of the tasks that may hold every word; None when they are too many, or the words too short for a token."""
    wanted: list[str] = []
    for word in words(query):
        wanted += tokens(word)
    if not wanted:
        return None
    found = of(conn).match_grams(conn, _spread(wanted), RARE + 1)
    return found if len(found) <= RARE else None


def is_short(query: str) -> bool:
    """True when no word has a token: the text is then sought among the newest tasks only."""
    return not any(tokens(word) for word in words(query))


def _spread(wanted: Sequence[str]) -> list[str]:
    distinct = list(dict.fromkeys(wanted))
    return distinct[:: max(1, len(distinct) // _MOST_TOKENS)][:_MOST_TOKENS]

"""Addresses of pages. Pure. An id is percent-encoded as one segment, so it may hold `/` (RELIABILITY R87)."""

from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, urlencode

from yarl import URL

Pairs = list[tuple[str, str]]
WORDS = {
    "/tasks": frozenset({"assign", "claim", "many", "pin", "release", "undo"}),
    "/services": frozenset({"archive", "collect", "pause", "resume", "transfer"}),
}
"""What stands in paths where an id may stand."""


def task(task_id: str, came_from: str = "") -> str:
    """The page of one task. `came_from`: the query of the list in which it has its neighbours."""
    return with_query(_below("/tasks", task_id), [("from", came_from)])


def list_of(here: str) -> str:
    """The query of the board that `here` shows, to come back to; empty elsewhere."""
    path, _, query = here.partition("?")
    return (query or "sort=risk") if path in {"/tasks", "/ui/rows"} else ""


def service(service_id: str) -> str:
    """The page of one service."""
    return _below("/services", service_id)


def _below(place: str, key: str) -> str:
    """One more segment; an id that is also a word of ours has a needless escape, by which `web.paths` knows it for an id."""
    whole = f"%{ord(key[0]):02X}{key[1:]}" if key in WORDS[place] else quote(key, safe="")
    return f"{place}/{whole}"


def history(subject_type: str, subject_id: str) -> str:
    """The history of one thing."""
    return with_query("/history", [("subject", f"{subject_type}:{subject_id}")])


def subject(subject_type: str, subject_id: str) -> str:
    """The page of what an event is about, else its history."""
    if subject_type == "task":
        return task(subject_id)
    if subject_type == "service":
        return service(subject_id)
    return "/" if subject_type == "incident" else history(subject_type, subject_id)


def with_query(path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """`path?a=1&b=2`; just the path when there is nothing to say."""
    query = urlencode([(name, value) for name, value in pairs if value])
    return f"{path}?{query}" if query else path


def changed(pairs: Pairs, name: str, value: str) -> Pairs:
    """The query with `name` set to `value` alone ("" takes it out), back at the first page."""
    kept = [(n, v) for n, v in pairs if n not in {name, "cursor"}]
    return [*kept, (name, value)] if value else kept


def toggled(pairs: Pairs, name: str, value: str) -> Pairs:
    """The query with `name` at this one value, or without it when it is there, back at the first page.

    Not one more alternative: the number beside a link is that of exactly the rows behind it (UI 1.8).
    """
    if (name, value) in pairs:
        return [pair for pair in pairs if pair != (name, value) and pair[0] != "cursor"]
    return changed(pairs, name, value)


def pairs_of(query_string: bytes) -> Pairs:
    """The query of a request in its order, without empty values."""
    return parse_qsl(query_string.decode("ascii", "replace"))


def host(url: str) -> str:
    """Host and port of a stored url as the collector dials them: in ASCII, so that no look-alike is shown (RELIABILITY R88)."""
    try:
        return URL(url).raw_authority
    except ValueError:
        return url


def same_origin(path: str, fallback: str = "/tasks") -> str:
    """`path` when it is a plain path of this server, else the fallback: `next` never leaves us."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    return path if safe and path.isascii() and path.isprintable() and " " not in path else fallback

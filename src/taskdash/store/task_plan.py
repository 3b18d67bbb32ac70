"""How the rows of a list are reached: by which index, and when to give a way up. STORE.md (Lists).

SQLite's planner knows nothing of how many rows a filter passes; the counters do. So the way is chosen here: walk the sort order
and test rows on the way, walk a filter's own index in that order, or gather a rare filter's rows and sort them. A walk that
was to be short and is not (counters know no correlation) ends at its bound, and the rows are gathered instead.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, select

from taskdash.store.tables import FILTERED, ID_INDEX, tasks
from taskdash.store.task_terms import Lead, Row, Term, by_index

c = tasks.c
Key = tuple[Any, ...]

INDEX_ROW, TABLE_ROW, TEXT_TEST = 1, 30, 15
"""What one row costs: met in a covering index, looked up in the table, searched for a text. One is about 0.1 µs."""
BOUND = 300_000
"""A walk that has cost so much is given up for another way."""
MOST_GATHERED = 2_500_000
"""More than so much is not gathered: the walk's rows are shown, and the next page goes on from its bound."""
_COVERING = frozenset({"tasks_updated", "tasks_status", "tasks_user", "tasks_group", "tasks_service", "tasks_failed"})
_WITH_ID = frozenset({"tasks_service", "tasks_failed"})


class Sort(Struct, frozen=True):
    """An order: its columns before pk, its direction, the index that has it."""

    columns: tuple[str, ...]
    descending: bool
    index: str


BY_ID = Sort(("id",), False, ID_INDEX)
UNSORTED = Sort((), False, "tasks_updated")


class Way(Struct, frozen=True):
    """Enter by `index`, of the rows of `lead` (None: all), for `term`; `cost` in covering rows."""

    cost: float
    index: str
    each: int
    """What one row costs on it."""
    is_ordered: bool
    lead: Lead | None = None
    term: Term | None = None


class Asked(Struct, frozen=True):
    """Which rows: `listed` and all `found`; about `passing` of `total` do."""

    listed: Row
    found: Sequence[Term]
    passing: float
    total: int
    is_gone: bool = False

    def where(self, way: Way) -> list[Row]:
        """All conditions, the one that leads in the form that its index knows."""
        spared = way.term if way.term is not None and not way.term.reads_text else None  # a text's lead gives candidates only
        tests = [self.listed, *(term.where for term in self.found if term is not spared)]
        return tests if way.lead is None else [*tests, way.lead.where]


def columns_of(sort: Sort) -> list[ColumnElement[Any]]:
    """The columns of a key."""
    return [*(c[name] for name in sort.columns), c.pk]


def ways(asked: Asked, sort: Sort, limit: int) -> Iterator[Way]:
    """All ways to the first `limit` rows."""
    if asked.is_gone:
        by_time = sort.columns == ("updated_at",)
        yield Way(0, "tasks_gone" if by_time else "tasks_gone_at", TABLE_ROW, is_ordered=by_time)
        return
    per_hit = asked.total / max(asked.passing, 0.5)
    each = _each(asked, sort.index) if asked.found else INDEX_ROW
    yield Way(min(limit * per_hit, asked.total) * each, sort.index, each, is_ordered=True)
    for term in asked.found:
        for lead in term.leads if term.rows is not None else ():
            yield from _by_lead(asked, sort, limit, term, lead)


def _by_lead(asked: Asked, sort: Sort, limit: int, term: Term, lead: Lead) -> Iterator[Way]:
    rows = term.rows or 0
    if not sort.columns or (lead.order,) == sort.columns:
        each = _each(asked, lead.index)
        met = min(limit * rows / max(asked.passing, 0.5), rows)
        yield Way(met * each + each, lead.index, each, True, lead, term)
    else:
        each = _each(asked, lead.index)
        looked_up = 0 if _has(lead.index, sort) else min(rows, asked.passing) * TABLE_ROW  # only what passed all tests
        yield Way(rows * each * 1.2 + looked_up + each, lead.index, each, False, lead, term)


def _each(asked: Asked, index: str) -> int:
    """What it costs to test one row met on this index."""
    if any(term.reads_text for term in asked.found):
        return TABLE_ROW + TEXT_TEST
    return INDEX_ROW if index in _COVERING else TABLE_ROW


def _has(index: str, sort: Sort) -> bool:
    """The index has the columns to sort by, or is one whose rows are looked up in the table anyway."""
    known = FILTERED + (("id",) if index in _WITH_ID else ())
    return index not in _COVERING or set(sort.columns) <= set(known)


class Found(Struct, frozen=True):
    """Keys in order; `stop`: where the walk ended before there were enough."""

    keys: list[Key]
    stop: Key | None = None


def first(conn: Connection, asked: Asked, sort: Sort, limit: int, after: Key | None) -> Found:
    """The keys of the first `limit` rows after `after`."""
    known = list(ways(asked, sort, limit))
    best = min(known, key=lambda way: way.cost)
    bound = _bound(conn, asked, best, sort, after) if _may_be_long(asked, best, sort) else None
    keys = _keys(conn, asked, best, sort, limit, after, bound)
    if bound is None or len(keys) == limit:
        return Found(keys)
    gathered = min((way for way in known if not way.is_ordered), key=lambda way: way.cost, default=None)
    if gathered is not None and gathered.cost <= MOST_GATHERED:
        return Found(_keys(conn, asked, gathered, sort, limit, after, None))
    return Found(keys, (bound, _beyond(sort)))


def _beyond(sort: Sort) -> int:
    """In place of a pk: after all rows that are equal in the sort column."""
    return -1 if sort.descending else 2**62


def _may_be_long(asked: Asked, way: Way, sort: Sort) -> bool:
    tests = [term for term in asked.found if term is not way.term]
    return way.is_ordered and bool(tests) and len(sort.columns) == 1 and not asked.is_gone


def _bound(conn: Connection, asked: Asked, way: Way, sort: Sort, after: Key | None) -> Any:
    """The sort column of the row at which the walk is given up; None: there are not so many."""
    column = c[sort.columns[0]]
    query = by_index(select(column), way.index)
    if way.index != ID_INDEX:  # that one holds gone tasks too, and to leave them out would cost a look at each
        query = query.where(asked.listed)
    if way.lead is not None:
        query = query.where(way.lead.where)
    if after is not None:
        query = query.where(_from(column, sort, after))
    ordered = query.order_by(column.desc() if sort.descending else column)
    return conn.execute(ordered.offset(BOUND // way.each).limit(1)).scalar()


def _from(column: ColumnElement[Any], sort: Sort, after: Key) -> Row:
    """Rows equal to `after` in the sort column count as long as some may follow, so that each bound lies further on."""
    is_left = after[1] == _beyond(sort) or sort.columns == BY_ID.columns
    strictly: Row = column < after[0] if sort.descending else column > after[0]
    with_equals: Row = column <= after[0] if sort.descending else column >= after[0]
    return strictly if is_left else with_equals


def _keys(conn: Connection, asked: Asked, way: Way, sort: Sort, limit: int, after: Key | None, bound: Any) -> list[Key]:
    columns = columns_of(sort)
    query = by_index(select(*columns).where(*asked.where(way)), way.index)
    if bound is not None:
        query = query.where(columns[0] >= bound if sort.descending else columns[0] <= bound)
    query = query.order_by(*(column.desc() for column in columns)) if sort.descending else query.order_by(*columns)
    keys: list[Key] = []
    for segment in _segments(columns, sort, after):
        if len(keys) < limit:
            keys += [tuple(row) for row in conn.execute(query.where(*segment).limit(limit - len(keys)))]
    return keys


def _segments(columns: Sequence[ColumnElement[Any]], sort: Sort, after: Key | None) -> Iterator[list[Row]]:
    """What follows a key, as ranges of an index that follow each other: equal in all columns but the last, and so on."""
    if after is None:
        yield []
        return
    for n in range(len(columns) - 1, -1, -1):
        if n and sort.columns == BY_ID.columns:
            continue  # no two tasks have one id
        equal = [columns[i] == after[i] for i in range(n)]
        yield [and_(*equal, columns[n] < after[n] if sort.descending else columns[n] > after[n])]


def newest(asked: Asked, limit: int, *columns: ColumnElement[Any]) -> Select[Any]:
    """As `unsorted`, the newest first where that costs nothing."""
    way = min(ways(asked, UNSORTED, limit), key=lambda way: way.cost)
    query = unsorted(asked, limit, *columns)
    by_time = way.index == "tasks_updated" if way.lead is None else way.lead.order == "updated_at"
    reads_text = any(term.reads_text for term in asked.found)
    return query.order_by(c.updated_at.desc(), c.pk.desc()) if by_time and not reads_text else query


def unsorted(asked: Asked, limit: int, *columns: ColumnElement[Any]) -> Select[Any]:
    """The rows in no order: by a filter's index, or straight through."""
    if asked.is_gone:
        way = next(ways(asked, UNSORTED, limit))
        return by_index(select(*columns).where(*asked.where(way)), way.index)
    way = min(ways(asked, UNSORTED, limit), key=lambda way: way.cost)
    query = select(*columns).where(*asked.where(way))
    if way.lead is None and any(term.reads_text for term in asked.found):
        return by_index(query, "")  # the table in its own order is quickest to read
    return by_index(query, way.index)

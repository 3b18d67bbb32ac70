"""Statements are never made of what comes from outside: what is put into one is a word of ours. RELIABILITY R161."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path("src/taskdash")
RUN = {"execute", "executemany", "executescript", "exec_driver_sql", "text", "literal_column", "rows", "change_many", "copy"}
"""What takes a statement, or a piece of one, as text."""
OURS = {
    "store/backup.py": {"quoted", "name"},
    "store/backup_postgres.py": {"going", "quote", "name"},
    "store/postgres.py": {"when", "let", "kept", "bindings", "freed", "kind"},
    "store/sqlite.py": {"kept", "bindings", "kind", "table", "patience_ms"},
    "store/tables.py": {"column", "only"},
    "store/whole_postgres.py": {"names", "into", "sequence"},
}
"""Names that stand for words of ours (tables, columns, kinds), by the file in which they are put into statements."""


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, ast.expr]]:
    """(call, its text) of each call that runs a statement which is put together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in RUN:
                yield from ((node, argument) for argument in node.args if not isinstance(argument, ast.Constant))


def _foreign(text: ast.expr, ours: set[str]) -> list[str]:
    """What is put into a text, but for constants in capitals and names of ours."""
    if isinstance(text, ast.JoinedStr):
        put_in = [part.value for part in text.values if isinstance(part, ast.FormattedValue)]
    elif isinstance(text, ast.BinOp) and any(
        isinstance(side, ast.Constant | ast.JoinedStr) for side in (text.left, text.right)
    ):
        put_in = [side for side in (text.left, text.right) if not isinstance(side, ast.Constant | ast.JoinedStr)]
    elif isinstance(text, ast.Call) and isinstance(text.func, ast.Attribute) and text.func.attr == "format":
        put_in = [*text.args]
    else:
        return []
    names = {each.id for value in put_in for each in ast.walk(value) if isinstance(each, ast.Name)}
    return sorted(name for name in names if not name.isupper() and name.lstrip("_") not in ours)


def foreign_in(source: str, ours: set[str]) -> list[str]:
    return [
        f"line {call.lineno}: {', '.join(found)}" for call, text in _calls(ast.parse(source)) if (found := _foreign(text, ours))
    ]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_R161_no_statement_holds_what_comes_from_outside(path: Path) -> None:
    ours = OURS.get(str(path.relative_to(SOURCE)), set())
    if path.is_relative_to(SOURCE / "client") or path.is_relative_to(SOURCE / "demo"):
        return
    assert foreign_in(path.read_text(encoding="utf-8"), ours) == []


@pytest.mark.parametrize(
    "statement",
    ['f"SELECT {name}"', '"SELECT " + name', '"SELECT %s" % name', '"SELECT {}".format(name)', 'f"ORDER BY {self.order}"'],
)
def test_R161_the_rule_finds_what_it_is_for(statement: str) -> None:
    assert foreign_in(f"conn.execute({statement})", set()) != []
    assert foreign_in("conn.execute(f'PRAGMA x={LONGEST}')", set()) == []

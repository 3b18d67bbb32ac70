"""Refuses functions over 50 lines and files over 400: a reader must be able to hold one in mind (DESIGN 6)."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 400, 50


def too_long(path: Path) -> Iterator[str]:
    """A sentence for each part of the file that is over its limit."""
    text = path.read_text(encoding="utf-8")
    if text.count("\n") > FILE_LINES:
        yield f"{path}: {text.count(chr(10))} lines, at most {FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    found = [line for path in sorted(Path("src").rglob("*.py")) for line in too_long(path)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.exit(1 if found else 0)

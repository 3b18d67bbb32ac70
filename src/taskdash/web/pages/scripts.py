"""Our modules as one file a page: one request, compressed as a whole, and no build step. Pure. UI 11.

The sources are ordinary modules, each checked by itself; here every module becomes one function that gives what it exports,
in the order in which they need each other. Law: a form of import or export that this does not know is refused at the start.
"""

import re
from collections.abc import Callable

_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*(?:(?!\*/)[\s\S])*\*/[ \t]*)$", re.MULTILINE)
_IMPORT = re.compile(r'^import (?:\* as (\w+)|\{ ([^}]*) \}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|const) (\w+)", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


def bundle(entry: str, source: Callable[[str], str]) -> str:
    """The module `entry` with all that it imports. `source`: a module by its name without `.js`. Raises ValueError."""
    wrapped: dict[str, str] = {}
    _add(entry, source, wrapped)
    return "".join(wrapped.values())


def _add(name: str, source: Callable[[str], str], wrapped: dict[str, str], *above: str) -> None:
    if name in above:
        raise ValueError(f"scripts import one another in a circle: {' '.join((*above, name))}")
    if name in wrapped:
        return
    text = without_comments(source(name))
    for found in _IMPORT.finditer(text):
        _add(found[3], source, wrapped, *above, name)
    wrapped[name] = _wrap(name, text)


def _wrap(name: str, text: str) -> str:
    exported = ", ".join(found[2] for found in _EXPORT.finditer(text))
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(_taken, text))
    if unknown := _LEFT.search(body):
        raise ValueError(f"{name}.js: this form is not known: {unknown[0]}")
    return f"const {name}_js = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


def _taken(found: re.Match[str]) -> str:
    whole, some, module = found.groups()
    return f"const {whole or '{ ' + some.replace(' as ', ': ') + ' }'} = {module}_js;"


def without_comments(text: str) -> str:
    """A script or a sheet without indentation, empty lines, and the comments that have lines of their own."""
    bare = _COMMENT.sub("", text)
    return "\n".join(line.strip() for line in bare.splitlines() if line.strip()) + "\n"

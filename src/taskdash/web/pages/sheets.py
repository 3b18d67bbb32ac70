"""Which style sheets a screen needs: one file a screen, of the parts in their order, and nothing of other screens. Pure. UI 11.

A part stands in many files; what counts is what one page loads, and its parts compress best together.
"""

import re

PARTS = (
    "base",
    "controls",
    "cards",
    "tables",
    "lists",
    "board",
    "lines",
    "now",
    "task",
    "services",
    "service",
    "history",
    "senders",
    "people",
    "mine",
    "admin",
    "entry",
    "signin",
    "keys",
    "rows",
    "phone",
    "wall",
)
"""In the order in which later rules win."""

_EVERYWHERE = {"base", "controls", "tables", "lists", "people", "entry", "keys", "phone"}
_PAGE = _EVERYWHERE | {"cards", "lines", "rows"}
AREAS = {
    "board": _EVERYWHERE | {"board"},
    "now": _PAGE | {"now"},
    "task": _PAGE | {"task", "service"},
    "services": _PAGE | {"services", "senders"},
    "service": _PAGE | {"services", "service"},
    "history": _PAGE | {"history"},
    "mine": _PAGE | {"mine"},
    "admin": _PAGE | {"senders", "admin", "signin"},
    "pages": _PAGE | {"signin"},
    "wall": {"base", "controls", "lines", "wall"},
}
"""Parts by the name of the file. `admin`: also one's own account and the first run; `pages`: forms, answers, sign-in."""

_OF_TEMPLATES = {
    "tasks": "board",
    "now": "now",
    "task": "task",
    "services": "services",
    "service": "service",
    "history": "history",
    "mine": "mine",
    "start": "admin",
    "account": "admin",
    "account_tokens": "admin",
    "wall": "wall",
}


def of_template(name: str) -> str:
    """The area of a screen by the file name of its template, such as `tasks.html`."""
    screen = name.removesuffix(".html")
    return "admin" if screen.startswith("admin_") else _OF_TEMPLATES.get(screen, "pages")


def parts_of(area: str) -> list[str]:
    """In their order. Raises KeyError for another name."""
    wanted = AREAS[area]
    return [part for part in PARTS if part in wanted]


def dense(sheet: str) -> str:
    """A sheet without the white space that means nothing. Law: no text in quotes holds a brace, a semicolon or a comma."""
    tight = re.sub(r"\s*([{};,])\s*", r"\1", sheet.replace("\n", " ")).replace(";}", "}")
    return re.sub(r"([{;][\w-]+):\s+", r"\1:", tight).strip() + "\n"

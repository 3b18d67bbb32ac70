"""Style sheet, scripts and icon, held in memory under an address that holds their hash, so browsers keep them for ever. UI 3.

One hash for the whole folder: no page ever mixes two versions.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from taskdash.web.pages import scripts, sheets

FOLDER = Path(__file__).parent.parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
FOREVER = "public, max-age=31536000, immutable"
ENTRIES = ("app", "wall", "show")
"""Scripts that pages name; each is sent with all that it imports."""


class File(NamedTuple):
    """A file as it is sent: plain, and compressed."""

    body: bytes
    packed: bytes
    kind: str


@cache
def files() -> dict[str, File]:
    """By name: `board.css`, `app.js`."""
    made = {f"{area}.css": sheets.dense(_sheet(area)) for area in sheets.AREAS}
    made |= {f"{name}.js": scripts.without_comments(scripts.bundle(name, _script)) for name in ENTRIES}
    packed = {name: _file(name, text) for name, text in made.items()}
    return packed | {icon.name: _file(icon.name, icon.read_text("utf-8")) for icon in FOLDER.glob("*.svg")}


def _sheet(area: str) -> str:
    parts = [(FOLDER / "css" / f"{part}.css").read_text("utf-8") for part in sheets.parts_of(area)]
    return scripts.without_comments("\n".join(parts))


def _script(name: str) -> str:
    return (FOLDER / "js" / f"{name}.js").read_text("utf-8")


def _file(name: str, text: str) -> File:
    body = text.encode()
    return File(body, gzip.compress(body, 9, mtime=0), TYPES[Path(name).suffix])


@cache
def digest() -> str:
    """The hash of all files together."""
    return hashlib.sha256(b"\0".join(file.body for _name, file in sorted(files().items()))).hexdigest()[:10]


def href(name: str) -> str:
    """The address of one of the files. Raises KeyError for another name."""
    files()[name]
    return f"/static/{digest()}/{name}"

"""Style sheet, scripts and icon, held in memory under an address that holds their hash, so browsers keep them for ever. UI 3.

One hash for the whole folder: scripts import one another by their plain names, and no page ever mixes two versions.
"""

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
FOREVER = "public, max-age=31536000, immutable"
SHEETS = (
    "base",
    "controls",
    "tables",
    "board",
    "now",
    "task",
    "services",
    "people",
    "admin",
    "entry",
    "keys",
    "phone",
)
"""The parts of `app.css`, in their order; the wall has a sheet of its own."""


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """Body and content type by name: `app.css`, `rows.js`."""
    plain = [*FOLDER.glob("*.svg"), *(FOLDER / "js").glob("*.js"), FOLDER / "css" / "wall.css"]
    found = {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in sorted(plain)}
    sheet = b"\n".join((FOLDER / "css" / f"{name}.css").read_bytes() for name in SHEETS)
    return found | {"app.css": (sheet, TYPES[".css"])}


@cache
def digest() -> str:
    """The hash of all files together."""
    return hashlib.sha256(b"\0".join(body for _name, (body, _kind) in sorted(files().items()))).hexdigest()[:10]


def href(name: str) -> str:
    """The address of one of the files. Raises KeyError for another name."""
    files()[name]
    return f"/static/{digest()}/{name}"

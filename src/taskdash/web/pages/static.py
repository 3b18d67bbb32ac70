"""Style sheet and icon, held in memory under names that hold their hash, so that browsers keep them for ever. UI 3."""

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
FOREVER = "public, max-age=31536000, immutable"


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """Body and content type by hashed name: `app.1a2b3c4d5e.css`."""
    found = sorted(path for path in FOLDER.iterdir() if path.suffix in TYPES)
    return {_hashed(path): (path.read_bytes(), TYPES[path.suffix]) for path in found}


@cache
def href(name: str) -> str:
    """The address of a file of the folder. Raises FileNotFoundError for another name."""
    return f"/static/{_hashed(FOLDER / name)}"


def _hashed(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
    return f"{path.stem}.{digest}{path.suffix}"

"""The bill of materials of a release: CycloneDX 1.5 as JSON, from the hashed requirements. `make sbom` writes `dist/sbom.json`.

Works offline. Each package has the digests of all its files that pip accepts, as properties, for a package has many files.
"""

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

OUT = Path("dist/sbom.json")
_PINNED = re.compile(r"(?m)^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pinned(NamedTuple):
    """One package of a requirements file."""

    name: str
    version: str
    digests: tuple[str, ...]


def pinned(requirements: str) -> list[Pinned]:
    """The packages of a hashed requirements file, in its order."""
    found = list(_PINNED.finditer(requirements))
    ends = [*(each.start() for each in found[1:]), len(requirements)]
    return [
        Pinned(each[1], each[2], tuple(_HASH.findall(requirements, each.end(), end)))
        for each, end in zip(found, ends, strict=True)
    ]


def bill(requirements: str, version: str) -> str:
    """The whole document."""
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "taskdash", "version": version}},
        "components": [component(each) for each in pinned(requirements)],
    }
    return json.dumps(made, indent=1) + "\n"


def component(package: Pinned) -> dict[str, Any]:
    """One package."""
    return {
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": f"pkg:pypi/{package.name}@{package.version}",
        "properties": [{"name": "taskdash:sha256", "value": digest} for digest in package.digests],
    }


def version_of_project() -> str:
    """As it is installed, or as the project says."""
    told = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"].get("version")
    return str(told or metadata.version("taskdash"))


if __name__ == "__main__":
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(bill(Path("requirements.txt").read_text(encoding="utf-8"), version_of_project()), encoding="utf-8")

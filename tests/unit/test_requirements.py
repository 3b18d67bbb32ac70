"""R164: what we depend on is pinned by hash, few, and told in a bill of materials."""

import json
import re
from pathlib import Path

import pytest

from tools.sbom import bill, pinned

MOST_DIRECT, MOST_IN_ALL = 25, 60
FILES = ("requirements.txt", "requirements-dev.txt", "requirements-bench.txt")


@pytest.mark.parametrize("name", FILES)
def test_R164_every_requirement_is_pinned_by_version_and_hash_and_no_file_names_a_registry(name: str) -> None:
    text = Path(name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", re.sub(r"(?m)^\s*#.*\n", "", text).strip())
    assert len(entries) > 5
    assert [entry for entry in entries if not re.match(r"[\w.\[\],-]+==\S+", entry) or "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_R164_a_running_taskdash_needs_few_packages() -> None:
    direct = [line for line in Path("requirements.in").read_text(encoding="utf-8").splitlines() if line[:1].isalpha()]
    assert len(direct) <= MOST_DIRECT
    assert len(pinned(Path("requirements.txt").read_text(encoding="utf-8"))) <= MOST_IN_ALL


def test_R164_the_bill_of_materials_names_every_pinned_package_with_its_version_and_hashes() -> None:
    text = Path("requirements.txt").read_text(encoding="utf-8")
    made = json.loads(bill(text, "1.2.3"))
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    assert made["metadata"]["component"] == {"type": "application", "name": "taskdash", "version": "1.2.3"}
    assert {(each["name"], each["version"]) for each in made["components"]} == {
        (each.name, each.version) for each in pinned(text)
    }
    assert all(each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in made["components"])
    assert all(each["properties"] for each in made["components"])

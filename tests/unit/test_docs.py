"""The pages that people read: links lead somewhere, settings in examples are settings, the languages say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from taskdash.settings.sources import load

PAGES = [*Path().glob("*.md"), *Path("docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_settings_in_examples_are_settings(tmp_path: Path) -> None:
    examples = [e for page in PAGES for e in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.S)]
    assert examples
    for example in examples:
        tomllib.loads(example)
        (tmp_path / "taskdash.toml").write_text(example, encoding="utf-8")
        load({}, {}, tmp_path / "taskdash.toml")


def test_the_chinese_readme_has_every_command_and_link_of_the_english_one() -> None:
    english, chinese = (Path(name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    commands = set(re.findall(r"(?:taskdash|make) [a-z]+", english))
    assert {c for c in commands if c not in chinese} == set()
    links = {link for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", english) if link != "README.zh-CN.md"}
    assert {link for link in links if link not in chinese} == set()

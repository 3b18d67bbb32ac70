"""Writes docs/settings.md from `settings.model`; with `--check` only says whether it is up to date."""

import sys
from pathlib import Path
from typing import get_type_hints

from msgspec import NODEFAULT, Struct, structs

from taskdash.settings.model import Settings
from taskdash.settings.shown import shown_value
from taskdash.settings.sources import environment_name, keys

PATH = Path("docs/settings.md")
_HEAD = """# Settings

Written by `make settings-doc` from `src/taskdash/settings/model.py`; do not edit.

The command line wins over the environment, the environment over the TOML file, the file over the defaults. The file is named
by `--config FILE` or `TASKDASH_CONFIG`; there is no other place where one is looked for. Numbers are seconds or bytes unless
the meaning says otherwise. In the environment a list is written with commas. `taskdash config show` prints every value that
holds and where it came from; an unknown name or a wrong value stops the start with one sentence (exit status 2).
"""


def main() -> int:
    """Write the page, or compare it."""
    wanted = page()
    if "--check" not in sys.argv:
        PATH.write_text(wanted, encoding="utf-8")
        return 0
    current = PATH.exists() and PATH.read_text(encoding="utf-8") == wanted
    print(f"{PATH} is {'up to date' if current else 'out of date: run `make settings-doc`'}")
    return 0 if current else 1


def page() -> str:
    """The whole page."""
    defaults = _defaults()
    tables: dict[str, list[str]] = {}
    for name, key in keys().items():
        section, _, short = name.rpartition(".")
        row = f"| `{short}` | {_cell(defaults[name])} | `{environment_name(name)}` | {key.meaning} |"
        tables.setdefault(section, []).append(row.replace("||", "| |"))
    return _HEAD + "".join(_table(section, rows) for section, rows in tables.items())


def _table(section: str, rows: list[str]) -> str:
    meaning = (get_type_hints(Settings)[section].__doc__ if section else "") or ""
    title = f"`[{section}]`" if section else "Top level"
    return (
        f"\n## {title}\n{meaning}\n\n| name | default | environment | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _cell(default: str) -> str:
    return f"`{default}`" if default else "see meaning"


def _defaults() -> dict[str, str]:
    found: dict[str, str] = {}
    for field in structs.fields(Settings):
        if isinstance(field.default, Struct) and field.name in _sections():
            found |= {f"{field.name}.{k}": shown_value(False, v) for k, v in structs.asdict(field.default).items()}
        else:
            found[field.name] = "" if field.default is NODEFAULT else shown_value(False, field.default)
    return found


def _sections() -> set[str]:
    return {name.partition(".")[0] for name in keys() if "." in name}


if __name__ == "__main__":
    sys.exit(main())

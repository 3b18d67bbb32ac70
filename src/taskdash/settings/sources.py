"""Command line over environment over TOML over defaults, each value with where it came from (SPEC 9).

Law: nothing is guessed. An unknown name or a wrong value raises StartRefused (exit 2) with one sentence that names it.
"""

import contextlib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from msgspec import Struct

from taskdash.errors import StartRefused
from taskdash.settings.checks import check
from taskdash.settings.model import Settings
from taskdash.settings.values import Key, time_zone

PREFIX = "TASKDASH_"
_SHORT = {"http": "http.listen", "tcp": "tcp.listen", "nsq": "nsq_listen"}
_OF_CLIENTS = ("URL", "TOKEN", "CONFIG")
# what Kubernetes puts into the environment of a pod beside a Service that is called taskdash
_OF_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP)\w*)?)")

Given = dict[str, tuple[Any, str]]
"""Dotted name to (raw value, where it came from)."""


def load(options: Mapping[str, Any], environ: Mapping[str, str], toml_path: Path | None = None) -> Settings:
    """The settings that hold. `options`: what the command line gave, by name (`nsq_listen`); None means not given.

    `toml_path`, else TASKDASH_CONFIG, names the TOML file. Raises StartRefused with code 2.
    """
    named = toml_path or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    given: Given = _from_toml(named) if named else {}
    given |= _from_environment(environ)
    given |= {_SHORT.get(name, name): (value, "command line") for name, value in options.items() if value is not None}
    settings = _build({name: (_read(name, raw, origin), origin) for name, (raw, origin) in given.items()}, named)
    check(settings)
    return settings


def keys() -> dict[str, Key]:
    """Every setting by its dotted name, in the order of the model."""
    found: dict[str, Key] = {}
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        if hasattr(hint, "__metadata__"):
            found[name] = hint.__metadata__[0]
        elif isinstance(hint, type) and issubclass(hint, Struct):
            inner = get_type_hints(hint, include_extras=True)
            found |= {f"{name}.{key}": inner[key].__metadata__[0] for key in inner}
    return found


def value_of(settings: Settings, name: str) -> Any:
    """The value behind a dotted name."""
    section, dot, key = name.rpartition(".")
    return getattr(getattr(settings, section) if dot else settings, key)


def environment_name(name: str) -> str:
    """`liveness.mass_hold` is TASKDASH_LIVENESS__MASS_HOLD; `http.listen` is TASKDASH_HTTP."""
    short = next((short for short, full in _SHORT.items() if full == name and "." in name), name)
    return PREFIX + short.replace(".", "__").upper()


def _read(name: str, raw: Any, origin: str) -> Any:
    key = _KEYS.get(name)
    if key is None:
        raise StartRefused(f"unknown setting {name} ({origin})", 2)
    try:
        return key.parse(raw)
    except ValueError as rule:
        shown = "" if key.secret else f", not {raw!r}"
        raise StartRefused(f"setting {name} must be {rule}{shown} ({origin})", 2) from None


def _build(read: Given, config: Path | None) -> Settings:
    values: dict[str, Any] = {"data_dir": None, "time_zone": None}
    sections: dict[str, dict[str, Any]] = {}
    for name, (value, _origin) in read.items():
        section, dot, key = name.rpartition(".")
        (sections.setdefault(section, {}) if dot else values)[key] = value
    types = get_type_hints(Settings)
    values |= {section: types[section](**inner) for section, inner in sections.items()}
    values["data_dir"] = values["data_dir"] or _data_dir()
    values["time_zone"] = values["time_zone"] or _machine_time_zone()
    origins = {name: read[name][1] if name in read else "default" for name in _KEYS}
    return Settings(**values, config=config, origins=origins)


def _data_dir() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("taskdash", appauthor=False))


def _machine_time_zone() -> str:
    """By TZ or /etc/localtime; UTC when neither names one."""
    link = os.path.realpath("/etc/localtime")
    for name in filter(None, (os.environ.get("TZ", "").lstrip(":"), link.partition("zoneinfo/")[2])):
        with contextlib.suppress(ValueError):
            return time_zone(name)
    return "UTC"


# environment


def _from_environment(environ: Mapping[str, str]) -> Given:
    given: Given = {}
    for variable, raw in environ.items():
        rest = variable.removeprefix(PREFIX)
        if rest == variable or rest in _OF_CLIENTS or _OF_KUBERNETES.fullmatch(rest):
            continue
        name = rest.lower().replace("__", ".")
        given[_SHORT.get(name, name)] = (raw, f"environment {variable}")
    return given


# TOML


def _from_toml(path: Path) -> Given:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartRefused(f"settings file {path} cannot be read: {reason}", 2) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StartRefused(f"settings file {path} is not valid TOML: {error}", 2) from None
    lines = _lines_of_keys(text)
    return {name: (raw, f"{path.name}:{_line(lines, name)}") for name, raw in _flat(document).items()}


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, raw in document.items():
        if isinstance(raw, dict):
            flat |= {f"{name}.{key}": value for key, value in raw.items()}
        else:
            flat[_SHORT.get(name, name)] = raw
    return flat


def _lines_of_keys(text: str) -> dict[str, int]:
    """Where each dotted name is written first; enough for the tables that settings use (tomllib tells no lines)."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w.\"-]+)\s*\]", line):
            table = header[1].replace('"', "") + "."
            lines.setdefault(table[:-1], number)
        elif key := re.match(r"\s*([\w.\"-]+)\s*=", line):
            lines.setdefault(table + key[1].replace('"', ""), number)
    return lines


def _line(lines: dict[str, int], name: str) -> int:
    short = next((short for short, full in _SHORT.items() if full == name), name)
    return lines.get(name) or lines.get(short) or lines.get(name.rpartition(".")[0]) or 1


_KEYS = keys()

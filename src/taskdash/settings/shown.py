"""Every setting as a person reads it: its value, where that came from, what it means; a secret that is set is `***` (R159)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from taskdash.settings.model import Settings
from taskdash.settings.sources import keys, value_of


class Shown(Struct, frozen=True):
    """One setting. `value`: as TOML has it; `origin`: `default`, `taskdash.toml:11`, `environment NAME`, `command line`."""

    name: str
    value: str
    origin: str
    meaning: str


def shown(settings: Settings) -> tuple[Shown, ...]:
    """All of them, in the order of the model."""
    return tuple(
        Shown(name, shown_value(key.secret, value_of(settings, name)), settings.origins[name], key.meaning)
        for name, key in keys().items()
    )


def chosen(settings: Settings) -> dict[str, str]:
    """What is not as by default, for history, which everyone may read: of secrets and of paths only that they are set."""
    paths = {name for name in keys() if isinstance(value_of(settings, name), Path)}
    return {s.name: "set" if s.name in paths else s.value for s in shown(settings) if s.origin != "default"}


def lines(settings: Iterable[Shown]) -> list[str]:
    """`name = value  # origin`, one a setting: what `taskdash config show` prints."""
    texts = [(f"{each.name} = {each.value}", each.origin) for each in settings]
    width = max((len(text) for text, _origin in texts if len(text) < 60), default=0)
    return [f"{text:<{width}}  # {origin}" for text, origin in texts]


def shown_value(secret: bool, value: Any) -> str:
    """As TOML would write it; `***` for a secret that is set."""
    if secret and value:
        return '"***"'
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return f"[{', '.join(shown_value(False, item) for item in value)}]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'

"""`taskdash config show | check`: every setting, its value and where it came from; secrets as `***` (SPEC 9, R159)."""

from typing import Any

from taskdash.commands.options import a_parser, add_actions, add_serve_options, settings_of
from taskdash.settings.model import Settings


def run(arguments: list[str]) -> int:
    """Show or check."""
    parser = a_parser("config", "Show settings and where each came from, or check them.")
    actions = add_actions(parser)
    add_serve_options(actions.add_parser("show", help="print every setting and where it came from"))
    add_serve_options(actions.add_parser("check", help="say whether the settings are good"))
    options = parser.parse_args(arguments)
    settings = settings_of(options)
    if options.action == "show":
        print("\n".join(lines(settings)))
    else:
        print("settings are good")
    return 0


def lines(settings: Settings) -> list[str]:
    """`name = value  # origin`, one a setting."""
    from taskdash.settings.sources import keys, value_of

    shown = {name: f"{name} = {shown_value(key.secret, value_of(settings, name))}" for name, key in keys().items()}
    width = max(len(line) for line in shown.values() if len(line) < 60)
    return [f"{line:<{width}}  # {settings.origins[name]}" for name, line in shown.items()]


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

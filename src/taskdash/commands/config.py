"""`taskdash config show | check`: every setting, its value and where it came from; secrets as `***` (SPEC 9, R159)."""

from taskdash.commands.options import a_parser, add_actions, add_serve_options, settings_of


def run(arguments: list[str]) -> int:
    """Show or check."""
    parser = a_parser("config", "Show settings and where each came from, or check them.")
    actions = add_actions(parser)
    add_serve_options(actions.add_parser("show", help="print every setting and where it came from"))
    add_serve_options(actions.add_parser("check", help="say whether the settings are good"))
    options = parser.parse_args(arguments)
    settings = settings_of(options)
    if options.action == "show":
        from taskdash.settings.shown import lines, shown

        print("\n".join(lines(shown(settings))))
    else:
        print("settings are good")
    return 0

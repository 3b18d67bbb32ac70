"""`taskdash serve`: TaskDash itself, until SIGTERM or SIGINT (SPEC 9)."""

from taskdash.commands.options import a_parser, add_serve_options, settings_of


def run(arguments: list[str]) -> int:
    """Serve; 0 after a clean drain."""
    parser = a_parser("serve", "Run TaskDash.")
    add_serve_options(parser)
    settings = settings_of(parser.parse_args(arguments))

    import uvloop

    from taskdash.app import serve

    uvloop.run(serve(settings))
    return 0

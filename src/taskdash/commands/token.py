"""`taskdash token create | list | revoke`, also beside a running server (SPEC 9; RELIABILITY R148).

`create` prints the token alone on standard output; it is stored nowhere and cannot be shown again.
"""

import argparse
import sys
from typing import get_args

from taskdash.commands.options import Parser, a_parser, add_actions, add_store_options, settings_of
from taskdash.model.records import Role, Scope, Token
from taskdash.settings.model import Settings


def run(arguments: list[str]) -> int:
    """One of the three."""
    options = _parser().parse_args(arguments)
    return int(_ACTIONS[options.action](settings_of(options), options))


def _parser() -> Parser:
    parser = a_parser("token", "Create, list, revoke tokens of programs. Works beside a running server.")
    actions = add_actions(parser)
    create = actions.add_parser("create", help="print a new token, alone, once")
    create.add_argument("--user", required=True, metavar="NAME", help="whose it is; it may do no more than its user")
    create.add_argument("--name", required=True, metavar="LABEL", help="what it is for")
    create.add_argument("--role", choices=get_args(Role), help="less than its user's")
    create.add_argument(
        "--scope", action="append", default=[], choices=get_args(Scope), help="may be repeated; none: all of its role"
    )
    create.add_argument("--days", type=_days, metavar="N|never", help="90; tokens with only the scope ingest: never")
    listed = actions.add_parser("list", help="list tokens")
    revoke = actions.add_parser("revoke", help="end a token for good")
    revoke.add_argument("id", metavar="ID", help="as `token list` tells it")
    for action in (create, listed, revoke):
        add_store_options(action)
    return parser


def _days(text: str) -> int:
    if text == "never":
        return 0
    days = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= days <= 36_500:
        raise argparse.ArgumentTypeError("must be never, or whole days from 1 to 36500")
    return days


def _create(settings: Settings, options: argparse.Namespace) -> int:
    from taskdash.actions.accounts import TokenWish, create_token
    from taskdash.commands.stores import SHELL, now, write

    wish = TokenWish(user=options.user, name=options.name, role=options.role, scopes=tuple(options.scope), days=options.days)
    text, made = write(settings, lambda conn: create_token(conn, SHELL, wish, now()))
    print(text)
    print(f"id {made.id}, {_scopes(made)}, {_until(made)}", file=sys.stderr)
    return 0


def _list(settings: Settings, _options: argparse.Namespace) -> int:
    from taskdash.commands.stores import now, read, table
    from taskdash.store import accounts

    moment = now()
    rows = [(t.id, t.user, t.name, t.role, _scopes(t), _state(t, moment)) for t in read(settings, accounts.tokens_of)]
    print(table(("ID", "USER", "LABEL", "ROLE", "SCOPES", "STATE"), rows))
    return 0


def _revoke(settings: Settings, options: argparse.Namespace) -> int:
    from taskdash.actions.accounts import revoke_token
    from taskdash.commands.stores import SHELL, now, write

    revoked = write(settings, lambda conn: revoke_token(conn, SHELL, options.id, now()))
    print(f"token {revoked.id} ({revoked.name} of {revoked.user}) is revoked")
    return 0


def _scopes(token: Token) -> str:
    return ",".join(token.scopes) or "all of its role"


def _until(token: Token) -> str:
    from taskdash.model.instants import to_rfc3339

    return f"until {to_rfc3339(token.expires_at)}" if token.expires_at else "never expires"


def _state(token: Token, now: int) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at and token.expires_at <= now else _until(token)


_ACTIONS = {"create": _create, "list": _list, "revoke": _revoke}

"""`taskdash user add | list | passwd | disable`, also beside a running server (SPEC 9; RELIABILITY R149).

A password comes from the terminal, asked twice, or as one line of standard input; never from the command line, which other
users of the machine can see.
"""

import argparse
import getpass
import sys
from typing import get_args

from taskdash.commands.options import Parser, a_parser, add_actions, add_store_options, settings_of
from taskdash.errors import StartRefused
from taskdash.model.records import Role, User
from taskdash.settings.model import Settings


def run(arguments: list[str]) -> int:
    """One of the four."""
    options = _parser().parse_args(arguments)
    return int(_ACTIONS[options.action](settings_of(options), options))


def _parser() -> Parser:
    parser = a_parser("user", "Add, list, disable people, set passwords. Works beside a running server.")
    actions = add_actions(parser)
    for name, meaning in _MEANINGS.items():
        action = actions.add_parser(name, help=meaning, description=meaning)
        if name != "list":
            action.add_argument("name", metavar="NAME")
        if name == "add":
            action.add_argument("--role", required=True, choices=get_args(Role))
            action.add_argument(
                "--group", action="append", default=[], metavar="G", help="made when it is new; may be repeated"
            )
        if name in {"add", "passwd"}:
            action.add_argument("--password-stdin", action="store_true", help="read the password as one line of standard input")
        add_store_options(action)
    return parser


def _add(settings: Settings, options: argparse.Namespace) -> int:
    from taskdash.actions import accounts
    from taskdash.commands.stores import SHELL, now, write

    new = User(name=options.name, role=options.role, groups=tuple(dict.fromkeys(options.group)), password_hash=_hash(options))
    made = write(settings, lambda conn: accounts.add_user(conn, SHELL, new, now(), make_groups=True))
    groups = f" in {', '.join(made.groups)}" if made.groups else ""
    print(f"{made.name} is {made.role}{groups}")
    return 0


def _list(settings: Settings, _options: argparse.Namespace) -> int:
    from taskdash.commands.stores import read, table
    from taskdash.model.instants import to_rfc3339_or_none
    from taskdash.store import accounts

    users = read(settings, accounts.all_users)
    rows = [
        (
            u.name,
            u.role,
            ",".join(u.groups),
            "disabled" if u.disabled else "active",
            to_rfc3339_or_none(u.last_sign_in_at) or "never",
        )
        for u in users
    ]
    print(table(("NAME", "ROLE", "GROUPS", "STATE", "LAST SIGN-IN"), rows))
    return 0


def _passwd(settings: Settings, options: argparse.Namespace) -> int:
    from taskdash.actions import accounts
    from taskdash.commands.stores import SHELL, now, write

    hashed = _hash(options)
    write(settings, lambda conn: accounts.change_password(conn, SHELL, options.name, hashed, now()))
    print(f"{options.name} has a new password; every session has ended")
    return 0


def _disable(settings: Settings, options: argparse.Namespace) -> int:
    from taskdash.actions import accounts
    from taskdash.commands.stores import SHELL, now, write

    change = accounts.UserChange(disabled=True)
    write(settings, lambda conn: accounts.change_user(conn, SHELL, options.name, change, now()))
    print(f"{options.name} is disabled; every session has ended")
    return 0


def _hash(options: argparse.Namespace) -> str:
    from taskdash.rules.passwords import check_password
    from taskdash.web.hasher import hash_now

    return hash_now(check_password(_password(options.password_stdin), options.name))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise StartRefused("there is no terminal to ask for the password: give it with --password-stdin", 2)
    password = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != password:
        raise StartRefused("the two passwords differ")
    return password


_MEANINGS = {
    "add": "add a person",
    "list": "list people",
    "passwd": "set a person's password",
    "disable": "end a person's access",
}
_ACTIONS = {"add": _add, "list": _list, "passwd": _passwd, "disable": _disable}

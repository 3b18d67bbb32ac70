"""What commands share: parsers that refuse in one sentence, and the options that are settings (SPEC 9)."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from taskdash.errors import StartRefused

if TYPE_CHECKING:  # `taskdash run` loads this module and no settings
    from taskdash.settings.model import Settings

_LISTENERS = {
    "http": "where pages and the API listen (127.0.0.1:8700)",
    "tcp": "where the TCP interface listens (127.0.0.1:8701)",
    "nsq-listen": "where the embedded NSQ endpoint listens (127.0.0.1:4150)",
    "nsq-http-listen": "where its HTTP twin listens (127.0.0.1:4151)",
}


class Parser(argparse.ArgumentParser):
    """Options may not be abbreviated; a mistake is one sentence and exit status 2."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**({"allow_abbrev": False} | more))

    def error(self, message: str) -> NoReturn:
        """Refuse wrong use."""
        raise StartRefused(f"{self.prog.removeprefix('taskdash ')}: {message}; see `{self.prog} --help`", 2)


def a_parser(command: str, meaning: str) -> Parser:
    """A parser of `taskdash COMMAND`."""
    return Parser(prog=f"taskdash {command}", description=meaning)


def add_actions(parser: Parser) -> "argparse._SubParsersAction[Parser]":
    """Room for the words that follow a command, such as `add` of `user add`."""
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Where the settings and the store are."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings in TOML (or TASKDASH_CONFIG)")
    parser.add_argument("--data-dir", metavar="DIR", help="holds the embedded database")
    parser.add_argument("--db", metavar="URL", help="use PostgreSQL instead: postgresql://…")


def add_listener_options(parser: argparse.ArgumentParser) -> None:
    """Where to listen, and whether anyone may."""
    for name, meaning in _LISTENERS.items():
        parser.add_argument(f"--{name}", metavar="ADDR", help=meaning)
    parser.add_argument(
        "--insecure", action="store_const", const=True, help="allow listeners and sign-in that others can overhear or misuse"
    )


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Everything that `serve` takes."""
    add_store_options(parser)
    add_listener_options(parser)
    parser.add_argument("--nsqd", metavar="ADDR", action="append", help="take messages from this nsqd; may be repeated")
    parser.add_argument("--lookupd", metavar="ADDR", action="append", help="find nsqd nodes here; may be repeated")
    parser.add_argument("--roles", metavar="ROLES", help="which parts run: web,tcp,ingest,collector,monitor")


def settings_of(options: argparse.Namespace) -> "Settings":
    """The settings that hold, given the parsed options."""
    from taskdash.settings.sources import keys, load

    short = {"http": "http", "tcp": "tcp"}
    names = {name for name in keys() if "." not in name} | set(short)
    given = {name: value for name, value in vars(options).items() if name in names}
    return load(given, os.environ, getattr(options, "config", None))

"""`taskdash db upgrade | backup FILE | restore FILE | check | copy` (SPEC 9).

`backup` and `check` work beside a running server, on PostgreSQL `upgrade` too; `restore` and `copy` own the stores, so the
servers must be stopped.
"""

import argparse
from pathlib import Path

from taskdash.commands.options import a_parser, add_actions, add_store_options, settings_of
from taskdash.commands.stores import now, owned, stopped, store_of
from taskdash.errors import StartRefused
from taskdash.settings.model import Settings
from taskdash.store.places import place_at


def run(arguments: list[str]) -> int:
    """One of the five."""
    options = _parser().parse_args(arguments)
    return int(_ACTIONS[options.action](settings_of(options), options))


def _parser() -> argparse.ArgumentParser:
    parser = a_parser("db", "Upgrade, back up, restore, check, copy the store.")
    actions = add_actions(parser)
    for name, meaning in _MEANINGS.items():
        action = actions.add_parser(name, help=meaning, description=meaning)
        if name == "copy":
            action.add_argument("--from", dest="source", metavar="URL", help="sqlite:PATH or postgresql://…")
            action.add_argument(
                "--to", dest="target", metavar="URL", help="as --from; what is left out is the store of the settings"
            )
        if name in {"backup", "restore"}:
            action.add_argument("file", type=Path, metavar="FILE")
        add_store_options(action)
    return parser


def _upgrade(settings: Settings, _options: argparse.Namespace) -> int:
    from taskdash.store.migrations.steps import HEAD, is_done

    store = store_of(settings)
    with owned(settings):
        before = store.revision()
        store.upgrade()
    print(f"{store}: schema {before}, nothing to do" if is_done(before) else f"{store}: schema {before or 'none'} -> {HEAD}")
    return 0


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    copied = store_of(settings).backup(options.file)
    rows = ", ".join(f"{copied.rows.get(table, 0)} {table}" for table in ("services", "tasks", "events", "users"))
    print(f"{copied.path}: {copied.size_bytes} bytes, checked; {rows}; sha256 {copied.sha256}")
    return 0


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    store = store_of(settings)
    with stopped():
        kept = store.restore(options.file, now())
    print(f"{options.file} is the store now" + (f"; the old one is kept as {kept}" if kept else ""))
    return 0


def _check(settings: Settings, _options: argparse.Namespace) -> int:
    from taskdash.store.check import check

    store = store_of(settings)
    problems = check(store)
    print("\n".join(problems) if problems else f"{store} is good")
    return 1 if problems else 0


def _copy(settings: Settings, options: argparse.Namespace) -> int:
    from taskdash.store.check import check
    from taskdash.store.copying import copy

    if not (options.source or options.target):
        raise StartRefused("db copy: name the store to copy by --from, or the one to fill by --to", 2)
    source, target = (place_at(url) if url else store_of(settings) for url in (options.source, options.target))
    with stopped():
        rows = copy(source, target)
    print(f"{target} holds what {source} holds, read back and compared: {', '.join(f'{n} {name}' for name, n in rows.items())}")
    problems = check(target)
    if problems:
        print("\n".join([f"{source} had these problems, and now {target} has them:", *problems]))
    return 1 if problems else 0


_MEANINGS = {
    "upgrade": "bring the store to this program's schema; without --db the server must be stopped",
    "backup": "copy the store into a new file, also beside a running server",
    "restore": "put a backup in the store's place, and keep the old store; the server must be stopped",
    "check": "check the store's integrity and its own rules, also beside a running server",
    "copy": "put all of one store into another, empty one, of either engine; the servers of both must be stopped",
}
_ACTIONS = {"upgrade": _upgrade, "backup": _backup, "restore": _restore, "check": _check, "copy": _copy}

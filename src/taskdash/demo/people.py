"""The people and groups of the demo, with passwords made for this run only."""

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from taskdash.actions import accounts
from taskdash.model.instants import Instant
from taskdash.model.records import Actor, User
from taskdash.store.accounts import Group
from taskdash.web.hasher import hash_now

DEMO = Actor(type="system", id="demo", channel="cli", role="admin")


def add_people(conn: Connection, seed: Mapping[str, Any], now: Instant) -> dict[str, str]:
    """Store them; returns each password by name."""
    for group_id, name in seed["groups"].items():
        accounts.save_group(conn, DEMO, Group(id=group_id, name=name), now, is_new=True)
    passwords: dict[str, str] = {}
    for user in seed["users"]:
        passwords[user["name"]] = secrets.token_urlsafe(12)
        new = User(
            name=user["name"],
            role=user["role"],
            groups=tuple(user["groups"]),
            password_hash=hash_now(passwords[user["name"]]),
        )
        accounts.add_user(conn, DEMO, new, now)
    return passwords

"""The web over a real store, on a real socket, for every journey over HTTP."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from litestar import Litestar
from litestar.datastructures import State
from msgspec import Struct

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import TokenWish
from taskdash.clock import Clock, SystemClock
from taskdash.feed import Feed
from taskdash.health import Inputs, Parts
from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, Role, Scope, Session, User
from taskdash.rules import secrets as forms
from taskdash.store import accounts
from taskdash.store.database import Database
from taskdash.store.places import Place
from taskdash.web import server as web_server
from taskdash.web.context import Web
from taskdash.web.hasher import hash_now
from taskdash.web.server import HttpServer
from tests.support import a_place

_BUILD, _BUILT = web_server._quietly, list[Litestar]()
PASSWORD = "a long and private sentence"
PASSWORD_HASH = hash_now(PASSWORD)


class Person(Struct, frozen=True):
    """A signed-in person and their client: it sends the cookie, and the CSRF token as a page would."""

    name: str
    http: aiohttp.ClientSession
    csrf_token: str


class Site(Struct, kw_only=True):
    """A running web."""

    web: Web
    server: HttpServer
    host: str
    port: int
    clients: list[aiohttp.ClientSession]

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def db(self) -> Database:
        return self.web.db

    def client(self, headers: dict[str, str] | None = None, cookies: dict[str, str] | None = None) -> aiohttp.ClientSession:
        """A client of this site, closed with it."""
        jar = aiohttp.CookieJar(unsafe=True)
        made = aiohttp.ClientSession(self.origin, headers=headers, cookies=cookies, cookie_jar=jar)
        self.clients.append(made)
        return made

    async def account(self, name: str, role: Role = "member", groups: tuple[str, ...] = ()) -> User:
        """An account with the password PASSWORD."""
        new = User(name=name, role=role, groups=groups, password_hash=PASSWORD_HASH)
        now = self.web.clock.now()
        return await self.db.write(lambda c: account_actions.add_user(c, SYSTEM, new, now, make_groups=True))

    async def person(self, name: str, role: Role = "member", groups: tuple[str, ...] = ()) -> Person:
        """A new account that has signed in."""
        await self.account(name, role, groups)
        return await self.again(name)

    async def again(self, name: str) -> Person:
        """Another client of a known account, signed in."""
        csrf_token = secrets.token_urlsafe(32)
        cookies = {"taskdash": await self.session(name, csrf_token)}
        client = self.client({"X-CSRF-Token": csrf_token, "Sec-Fetch-Site": "same-origin"}, cookies)
        return Person(name, client, csrf_token)

    async def session(self, name: str, csrf_token: str = "", agent: str = "") -> str:
        """The cookie of a new session of a known account."""
        cookie, now = secrets.token_urlsafe(32), self.web.clock.now()
        session = Session(
            id=secrets.token_hex(8),
            user=name,
            csrf_token=csrf_token or secrets.token_urlsafe(32),
            created_at=now,
            last_seen_at=now,
            expires_at=now + seconds(7 * 86_400),
            agent=agent,
        )
        await self.db.write(lambda conn: accounts.add_session(conn, session, forms.digest(cookie)))
        return cookie

    async def token(self, name: str, scopes: tuple[Scope, ...] = (), **wish: Any) -> str:
        """The text of a new token of a known account."""
        asked = TokenWish(user=name, name="test", scopes=scopes, **wish)
        now = self.web.clock.now()
        text, _record = await self.db.write(lambda conn: account_actions.create_token(conn, SYSTEM, asked, now))
        return text

    async def program(self, name: str, scopes: tuple[Scope, ...] = (), **wish: Any) -> aiohttp.ClientSession:
        """A client with a new token of a known account."""
        return self.client({"Authorization": f"Bearer {await self.token(name, scopes, **wish)}"})


def _application(*arguments: Any, **options: Any) -> Litestar:
    """The routes with a state of their own: they are built once, as most of a short test would go into building them."""
    if not _BUILT:
        _BUILT.append(_BUILD(*arguments, **options))
    own = copy(_BUILT[0])
    own.state = State()
    return own


@asynccontextmanager
async def a_site(where: Path | Place | Database, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Site]:
    """The web, listening on a free port of loopback; `settings` are fields of `Web`."""
    clock = clock or SystemClock()
    db = where if isinstance(where, Database) else Database(a_place(where))
    db.start()
    feed = Feed(db)
    db.on_commit = feed.wake
    web = Web(db=db, feed=feed, clock=clock, parts=Parts(clock), inputs=Inputs(clock), **settings)
    with patch.object(web_server, "_quietly", _application):
        server = HttpServer(web)
    host, port = await server.listen("127.0.0.1", 0)
    tasks = [asyncio.ensure_future(feed.run()), asyncio.ensure_future(server.run())]
    site = Site(web=web, server=server, host=host, port=port, clients=[])
    try:
        yield site
    finally:
        await asyncio.gather(*(client.close() for client in site.clients))
        await server.drain()
        await asyncio.wait_for(tasks[1], 10)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await db.close()

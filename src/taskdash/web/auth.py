"""Who calls: a session cookie or a bearer token, and what a cookie needs beside it. RELIABILITY R140-R148.

Law: every route declares its action; `admit` runs before every handler, and refuses what the role, the scopes, the CSRF token
or the origin do not allow. Objects are checked again inside the actions. A changed account is seen within half a second.
"""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from msgspec import Struct, structs
from sqlalchemy import Connection

from taskdash.errors import Forbidden, Unauthorized
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import Actor, Session, Token, User
from taskdash.rules import roles
from taskdash.rules import secrets as forms
from taskdash.store import accounts
from taskdash.web import visible
from taskdash.web.context import Web
from taskdash.web.paths import opened

IDLE_S, LONGEST_S = 12 * 3_600.0, 7 * 86_400.0
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = "public"
AnyConnection = ASGIConnection[Any, Any, Any, Any]
_BELIEVED_S = 0.5
_MOST_KNOWN = 10_000


class Identity(Struct, frozen=True):
    """The caller: an account, and the session or token it came by."""

    actor: Actor
    user: User
    session: Session | None = None
    token: Token | None = None


_Shown = tuple[bool, str]
"""Whether it was shown as a token, and its digest: what is good as the one is nothing as the other."""


class Identities:
    """Callers that were looked up within the last half second, and when sessions and tokens were used since `take_seen`."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Shown, tuple[Instant, Identity | None]] = OrderedDict()
        self._asked: dict[_Shown, asyncio.Future[Identity | None]] = {}
        self._sessions: dict[str, Instant] = {}
        self._tokens: dict[str, Instant] = {}

    async def of(self, web: Web, digest: str, *, is_token: bool) -> Identity | None:
        """The caller behind a digest, if their session, token and account hold."""
        now, shown = web.clock.now(), (is_token, digest)
        believed_until, identity = self._known.get(shown, (0, None))
        if now >= believed_until:
            identity = await self._asked_for(web, shown, now)
        if identity and identity.session:
            self._sessions[identity.session.id] = now
        if identity and identity.token:
            self._tokens[identity.token.id] = now
        return identity

    async def _asked_for(self, web: Web, shown: _Shown, now: Instant) -> Identity | None:
        """One look-up however many ask at once: a browser's tabs, and five hundred streams, ask in the same moment."""
        asked = self._asked.get(shown)
        if asked is None:
            asked = self._asked[shown] = asyncio.ensure_future(self._look_up(web, shown, now))
        return await asyncio.shield(asked)

    async def _look_up(self, web: Web, shown: _Shown, now: Instant) -> Identity | None:
        is_token, digest = shown
        load = _by_token if is_token else _by_cookie
        asked = asyncio.current_task()
        try:
            identity = await web.db.read(lambda conn: load(conn, digest, now))
            if self._asked.get(shown) is asked:
                self._keep(shown, now, identity)
        finally:
            if self._asked.get(shown) is asked:
                del self._asked[shown]
        return identity

    def _keep(self, shown: _Shown, now: Instant, identity: Identity | None) -> None:
        self._known[shown] = (now + seconds(_BELIEVED_S), identity)
        self._known.move_to_end(shown)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """An account, session or token changed here: look everyone up again, and believe no look-up that began before."""
        self._known.clear()
        self._asked.clear()

    def take_seen(self) -> tuple[dict[str, Instant], dict[str, Instant]]:
        """Last use of sessions and of tokens, by id, since the last call."""
        seen = self._sessions, self._tokens
        self._sessions, self._tokens = {}, {}
        return seen


def _by_token(conn: Connection, digest: str, now: Instant) -> Identity | None:
    token = accounts.token_by_digest(conn, digest)
    if token is None or token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    user = accounts.user(conn, token.user)
    if user is None or user.disabled:
        return None
    role = min(token.role, user.role, key=roles.ROLES.index)
    actor = Actor(type="user", id=user.name, channel="api", role=role, groups=user.groups, scopes=token.scopes)
    return Identity(actor, user, token=token)


def _by_cookie(conn: Connection, digest: str, now: Instant) -> Identity | None:
    session = accounts.session_by_digest(conn, digest)
    if session is None or session.expires_at <= now or session.last_seen_at + seconds(IDLE_S) <= now:
        return None
    user = accounts.user(conn, session.user)
    if user is None or user.disabled:
        return None
    return Identity(Actor(type="user", id=user.name, channel="web", role=user.role, groups=user.groups), user, session)


def is_tls(connection: AnyConnection) -> bool:
    """True when the browser speaks https, to us or to a trusted proxy."""
    return bool(connection.scope["scheme"] == "https")


def cookie_name(connection: AnyConnection) -> str:
    """`__Host-taskdash` over TLS, `taskdash` over plain http (R141)."""
    return "__Host-taskdash" if is_tls(connection) else "taskdash"


def session_cookie(connection: AnyConnection, value: str, max_age_s: int) -> Cookie:
    """The cookie of a session; an empty value ends it."""
    name, secure = cookie_name(connection), is_tls(connection)
    return Cookie(key=name, value=value, path="/", max_age=max_age_s, httponly=True, secure=secure, samesite="lax")


async def identify(web: Web, connection: AnyConnection) -> Identity | None:
    """The caller, or None. A cookie is ignored when Authorization is present (R144)."""
    found = await _believed(web, connection)
    return found and structs.replace(found, actor=structs.replace(found.actor, address=address_of(connection)))


async def _believed(web: Web, connection: AnyConnection) -> Identity | None:
    identities: Identities = connection.app.state.identities
    authorization = connection.headers.get("authorization")
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not forms.is_token(text.strip()):
            return None
        return await identities.of(web, forms.digest(text.strip()), is_token=True)
    cookie = connection.cookies.get(cookie_name(connection))
    return await identities.of(web, forms.digest(cookie), is_token=False) if cookie else None


async def admit(request: Request[Any, Any, Any]) -> None:
    """Refuse what the caller may not do at all. Raises Unauthorized or Forbidden."""
    action = request.route_handler.opt["action"]
    if action == PUBLIC:
        return
    web: Web = request.app.state.web
    identity = await identify(web, request)
    if identity is None:
        raise Unauthorized("sign in, or send a token that is not expired or revoked")
    request.scope["state"]["identity"] = identity
    if identity.session and request.method not in SAFE:
        await check_unsafe(request, identity.session.csrf_token)
    if refusal := roles.refusal(identity.actor, action):
        await _seen(web, identity.actor, request.path_params)
        raise Forbidden(refusal)


async def _seen(web: Web, actor: Actor, path: Mapping[str, str]) -> None:
    """Of an object that the caller may not see nothing is told, not even that they may not change it (SPEC 6)."""
    if roles.sees_everything(actor, web.visibility) or not roles.may(actor, "see"):
        return
    if task_id := opened(path.get("task_id", "")):
        await web.db.read(lambda conn: visible.task(conn, task_id, actor, web.visibility))
    if service_id := opened(path.get("service_id", "")):
        await web.db.read(lambda conn: visible.service(conn, service_id, actor, web.visibility))


async def check_unsafe(request: Request[Any, Any, Any], expected: str) -> None:
    """An unsafe method by cookie comes from a page of ours and carries the session's token (R142). Raises Forbidden."""
    if not is_same_origin(request):
        raise Forbidden("this request comes from a page of another site")
    sent = request.headers.get("x-csrf-token") or await _form_token(request)
    if not hmac.compare_digest(sent.encode(), expected.encode()):
        raise Forbidden("the CSRF token is missing or not that of this session: send it as X-CSRF-Token or csrf_token")


async def _form_token(request: Request[Any, Any, Any]) -> str:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    return str((await request.form()).get("csrf_token", ""))


def is_same_origin(request: AnyConnection) -> bool:
    """True unless Sec-Fetch-Site or Origin names another site. Every browser sends one of them; a program has neither.

    A form of ours has the Origin `null`, because our pages send no referrer; then Sec-Fetch-Site alone decides.
    """
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    if origin == "null" and site is not None:
        return True
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def identity_of(request: Request[Any, Any, Any]) -> Identity:
    """Who `admit` let in; for dependencies and handlers of routes that are not public."""
    return cast("Identity", request.scope["state"]["identity"])


def address_of(request: AnyConnection) -> str:
    """The peer's address, for throttling and sessions."""
    return request.client.host if request.client else ""

"""Signing in and out, one's own account and sessions (SPEC 8, RELIABILITY R140-R154)."""

import secrets
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import accounts as account_actions
from taskdash.errors import Forbidden, NotFound, TooMany, Unauthorized
from taskdash.model.instants import Instant, seconds, to_rfc3339, to_rfc3339_or_none
from taskdash.model.records import Actor, NewEvent, Session, User
from taskdash.rules import secrets as forms
from taskdash.rules.passwords import check_password
from taskdash.store import accounts, events
from taskdash.web import auth, hasher
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of

DEVICE_COOKIE = "taskdash-device"
MOST_SESSIONS = 10
_YEAR_S = 31_536_000


class SignIn(Struct):
    """POST /login."""

    user: str
    password: str


class NewPassword(Struct):
    """POST /me/password."""

    old: str
    new: str


class UserBrief(Struct):
    """Who signed in."""

    name: str
    role: str
    groups: list[str]


class SignedIn(Struct):
    """Answer of /login."""

    user: UserBrief
    csrf_token: str


class Me(Struct):
    """Answer of /me."""

    name: str
    role: str
    groups: list[str]
    csrf_token: str | None
    must_change_password: bool
    away_until: str | None
    language: str


class SessionShape(Struct):
    """One of one's own sessions."""

    id: str
    created_at: str
    last_seen_at: str
    expires_at: str
    address: str
    agent: str
    current: bool


_sign_ins = msgspec.json.Decoder(SignIn)
_new_passwords = msgspec.json.Decoder(NewPassword)


@post("/api/v1/login", opt={"action": auth.PUBLIC}, status_code=200, request_max_body_size=4_096)
async def login(request: Request[Any, Any, Any], web: Web) -> Response[SignedIn]:
    """Sign in; sets the session cookie."""
    wanted: SignIn = await body_of(request, _sign_ins)
    session, user, cookies = await sign_in(request, web, wanted.user, wanted.password)
    return Response(SignedIn(UserBrief(user.name, user.role, list(user.groups)), session.csrf_token), cookies=cookies)


async def sign_in(request: Request[Any, Any, Any], web: Web, name: str, password: str) -> tuple[Session, User, list[Cookie]]:
    """(session, account, cookies to set). Raises Unauthorized, TooMany, Busy or Forbidden."""
    if not auth.is_same_origin(request):
        raise Forbidden("sign in from a page of this site")
    if not (web.is_loopback or web.insecure or request.url.scheme == "https"):
        raise Forbidden("sign-in over plain http is refused: put TLS in front, or start with --insecure")
    address, device = auth.address_of(request), request.cookies.get(DEVICE_COOKIE, "")
    throttle, now = request.app.state.throttle, web.clock.now()
    if wait_s := throttle.wait_s(name, address, device, now):
        raise TooMany(f"too many failed sign-ins; try again in {wait_s:.0f} s", retry_after_s=wait_s)
    user = await web.db.read(lambda conn: accounts.user(conn, name))
    usable = user is not None and not user.disabled
    right = await request.app.state.hasher.verify(user.password_hash if user and usable else "", password)
    if user is None or not right:
        throttle.failed(name, address, device, now)
        await web.db.write(lambda conn: events.append(conn, [_told("session.refused", name, address, now)]))
        raise Unauthorized("user or password is wrong")
    throttle.succeeded(name, address, device)
    cookie = secrets.token_urlsafe(32)
    session = await web.db.write(lambda conn: _begin(conn, user, cookie, address, _agent(request), now))
    if hasher.is_outdated(user.password_hash):
        await _rehash(request, web, user, password)
    return session, user, [auth.session_cookie(web, cookie, int(auth.LONGEST_S)), _device_cookie(web, device)]


def _device_cookie(web: Web, device: str) -> Cookie:
    """Tells a browser that signed in before from a stranger's (R152)."""
    value, secure = device or secrets.token_urlsafe(16), not (web.is_loopback or web.insecure)
    return Cookie(key=DEVICE_COOKIE, value=value, path="/", max_age=_YEAR_S, httponly=True, secure=secure, samesite="strict")


def _begin(conn: Connection, user: User, cookie: str, address: str, agent: str, now: Instant) -> Session:
    session = Session(
        id=secrets.token_hex(8),
        user=user.name,
        csrf_token=secrets.token_urlsafe(32),
        created_at=now,
        last_seen_at=now,
        expires_at=now + seconds(auth.LONGEST_S),
        address=address,
        agent=agent,
    )
    for old in accounts.sessions_of(conn, user.name)[MOST_SESSIONS - 1 :]:
        accounts.end_session(conn, old.id)
    accounts.add_session(conn, session, forms.digest(cookie))
    fresh = accounts.user(conn, user.name) or user
    accounts.save_user(conn, msgspec.structs.replace(fresh, last_sign_in_at=now))
    events.append(conn, [_told("session.began", user.name, address, now)])
    return session


async def _rehash(request: Request[Any, Any, Any], web: Web, user: User, password: str) -> None:
    stored = await request.app.state.hasher.hash(password)

    def save(conn: Connection) -> None:
        fresh = accounts.user(conn, user.name)
        if fresh and fresh.password_hash == user.password_hash:
            accounts.save_user(conn, msgspec.structs.replace(fresh, password_hash=stored))

    await web.db.write(save)


def _told(kind: str, user: str, address: str, now: Instant) -> NewEvent:
    return NewEvent(
        at=now,
        kind=kind,
        subject_type="session",
        subject_id=user[:128],
        actor_type="user",
        actor_id=user[:128],
        channel="web",
        after={"address": address},
    )


def _agent(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("user-agent", "")[:200]


@post("/api/v1/logout", opt={"action": "see"}, status_code=204)
async def logout(request: Request[Any, Any, Any], web: Web, identity: Identity) -> Response[None]:
    """End this session."""
    await sign_out(request, web, identity)
    return Response(None, status_code=204, cookies=[auth.session_cookie(web, "", 0)])


async def sign_out(request: Request[Any, Any, Any], web: Web, identity: Identity) -> None:
    """End the session of this request, if it has one."""
    if session := identity.session:
        now, address = web.clock.now(), auth.address_of(request)

        def end(conn: Connection) -> None:
            accounts.end_session(conn, session.id)
            events.append(conn, [_told("session.ended", session.user, address, now)])

        await web.db.write(end)
        request.app.state.identities.forget()


@get("/api/v1/me", opt={"action": "see"})
async def me(identity: Identity) -> Me:
    """Who I am, and the CSRF token of my session."""
    user = identity.user
    return Me(
        user.name,
        identity.actor.role,
        list(user.groups),
        identity.session.csrf_token if identity.session else None,
        user.must_change,
        to_rfc3339_or_none(user.away_until),
        user.language,
    )


@post("/api/v1/me/password", opt={"action": "change_own_account"}, status_code=204)
async def password(request: Request[Any, Any, Any], web: Web, actor: Actor, identity: Identity) -> None:
    """Change one's own password; ends one's other sessions."""
    wanted: NewPassword = await body_of(request, _new_passwords)
    await change_password(request, web, identity, wanted)


async def change_password(request: Request[Any, Any, Any], web: Web, identity: Identity, wanted: NewPassword) -> None:
    """Check the old password, set the new one. Raises Forbidden or BadField."""
    user, keep = identity.user, identity.session.id if identity.session else ""
    if not await request.app.state.hasher.verify(user.password_hash, wanted.old):
        raise Forbidden("the old password is wrong", field="old")
    check_password(wanted.new, user.name)
    stored = await request.app.state.hasher.hash(wanted.new)
    now, actor = web.clock.now(), identity.actor
    await web.db.write(lambda c: account_actions.change_password(c, actor, user.name, stored, now, keep=keep))
    request.app.state.identities.forget()


@get("/api/v1/me/sessions", opt={"action": "see"})
async def sessions(web: Web, identity: Identity) -> dict[str, list[SessionShape]]:
    """Where I am signed in."""
    current = identity.session.id if identity.session else ""
    found = await web.db.read(lambda conn: accounts.sessions_of(conn, identity.user.name))
    return {"items": [_shape(session, current) for session in found]}


def _shape(session: Session, current: str) -> SessionShape:
    return SessionShape(
        session.id,
        to_rfc3339(session.created_at),
        to_rfc3339(session.last_seen_at),
        to_rfc3339(session.expires_at),
        session.address,
        session.agent,
        session.id == current,
    )


@delete("/api/v1/me/sessions/{session_id:str}", opt={"action": "change_own_account"}, status_code=204)
async def end_session(request: Request[Any, Any, Any], web: Web, identity: Identity, session_id: str) -> None:
    """End one of my sessions."""
    wanted = opened(session_id)

    def end(conn: Connection) -> bool:
        mine = {session.id for session in accounts.sessions_of(conn, identity.user.name)}
        return wanted in mine and accounts.end_session(conn, wanted)

    if not await web.db.write(end):
        raise NotFound("you have no session of that id")
    request.app.state.identities.forget()


ROUTES = [login, logout, me, password, sessions, end_session]

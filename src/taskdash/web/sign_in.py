"""Signing in, signing out, a new password: the same for pages and API. RELIABILITY R140-R142, R149-R154, R160.

Law: a wrong user, a disabled one and a wrong password cost the same and are told in the same words (R153). A name that is no
account's is not written down: people type their password there by mistake (R159).
"""

import secrets
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import Cookie
from msgspec import Struct
from sqlalchemy import Connection

from taskdash import telemetry
from taskdash.actions import accounts as account_actions
from taskdash.actions import throttling
from taskdash.errors import Forbidden, Unauthorized
from taskdash.model.fields import safe_text
from taskdash.model.instants import Instant, seconds
from taskdash.model.records import NewEvent, Session, User
from taskdash.rules import secrets as forms
from taskdash.rules.passwords import check_password
from taskdash.rules.throttle import Caller
from taskdash.store import accounts, events
from taskdash.web import auth, hasher
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.devices import Devices

DEVICE_COOKIE = "taskdash-device"
MOST_SESSIONS = 10
_YEAR_S = 31_536_000
AnyRequest = Request[Any, Any, Any]


class SignedIn(Struct, frozen=True):
    """A new session, its account, and the cookies to set."""

    session: Session
    user: User
    cookies: list[Cookie]


async def sign_in(request: AnyRequest, web: Web, name: str, password: str) -> SignedIn:
    """A session for who knows the password. Raises Unauthorized, TooMany, Busy or Forbidden."""
    _check_way(request, web)
    devices: Devices = request.app.state.devices
    device = devices.of(name, request.cookies.get(DEVICE_COOKIE, ""))
    caller = Caller(name[:256], auth.address_of(request), device)
    if turn_s := await request.app.state.throttle.begin(caller):
        await web.clock.sleep(turn_s)
    user = await _verified(request, web, name, password)
    now, cookie = web.clock.now(), secrets.token_urlsafe(32)

    def begin(conn: Connection) -> Session:
        throttling.succeeded(conn, caller)
        return _begin(conn, user, cookie, request, now)

    session = await web.db.write(begin)
    telemetry.sign_ins.labels("ok").inc()
    if hasher.is_outdated(user.password_hash):
        await _rehash(request, web, user, password)
    own = auth.session_cookie(request, cookie, int(auth.LONGEST_S))
    return SignedIn(session, user, [own, _device_cookie(request, devices.cookie(user.name))])


def _check_way(request: AnyRequest, web: Web) -> None:
    if not auth.is_same_origin(request):
        raise Forbidden("sign in from a page of this site")
    if not (auth.is_tls(request) or web.is_loopback or web.insecure):
        raise Forbidden("sign-in over plain http is refused: put TLS in front, or start with --insecure")


async def _verified(request: AnyRequest, web: Web, name: str, password: str) -> User:
    """The account, its password checked. Raises Unauthorized, which is written down."""
    user = await web.db.read(lambda conn: accounts.user(conn, name))
    usable = user is not None and not user.disabled
    right = await request.app.state.hasher.verify(user.password_hash if user and usable else "", password)
    if user is not None and right:
        return user
    telemetry.sign_ins.labels("wrong").inc()
    refused = _told("session.refused", user.name if user else "", auth.address_of(request), web.clock.now())
    await web.db.write(lambda conn: events.append(conn, [refused]))
    raise Unauthorized("user or password is wrong")


def _device_cookie(request: AnyRequest, value: str) -> Cookie:
    """Tells a browser that signed in before from a stranger's (R152)."""
    secure = auth.is_tls(request)
    return Cookie(key=DEVICE_COOKIE, value=value, path="/", max_age=_YEAR_S, httponly=True, secure=secure, samesite="lax")


def _begin(conn: Connection, user: User, cookie: str, request: AnyRequest, now: Instant) -> Session:
    fresh = _unchanged(conn, user)
    for old in accounts.sessions_of(conn, user.name)[MOST_SESSIONS - 1 :]:
        accounts.end_session(conn, old.id)
    session = _new_session(user, request, now)
    accounts.add_session(conn, session, forms.digest(cookie))
    accounts.save_user(conn, msgspec.structs.replace(fresh, last_sign_in_at=now))
    events.append(conn, [_told("session.began", user.name, session.address, now)])
    return session


def _unchanged(conn: Connection, user: User) -> User:
    """The account as it is now: its password is still the one that was checked. Raises Unauthorized."""
    fresh = accounts.user(conn, user.name)
    if fresh is None or fresh.disabled or fresh.password_hash != user.password_hash:
        raise Unauthorized("the account changed meanwhile; try again")
    return fresh


def _new_session(user: User, request: AnyRequest, now: Instant, csrf_token: str = "") -> Session:
    return Session(
        id=secrets.token_hex(8),
        user=user.name,
        csrf_token=csrf_token or secrets.token_urlsafe(32),
        created_at=now,
        last_seen_at=now,
        expires_at=now + seconds(auth.LONGEST_S),
        address=auth.address_of(request),
        agent=safe_text(request.headers.get("user-agent", ""))[:200],
    )


async def _rehash(request: AnyRequest, web: Web, user: User, password: str) -> None:
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
        subject_id=user,
        actor_type="user",
        actor_id=user,
        channel="web",
        after={"address": address},
    )


async def sign_out(request: AnyRequest, web: Web, identity: Identity) -> list[Cookie]:
    """End the session of this request, if it has one; the cookies to set."""
    if identity.session:
        await end_session(request, web, identity, identity.session.id)
    return [auth.session_cookie(request, "", 0)]


async def end_session(request: AnyRequest, web: Web, identity: Identity, session_id: str) -> bool:
    """End one of the caller's sessions; False when they have none of that id."""
    name, now, address = identity.user.name, web.clock.now(), auth.address_of(request)

    def end(conn: Connection) -> bool:
        mine = {session.id for session in accounts.sessions_of(conn, name)}
        if session_id not in mine or not accounts.end_session(conn, session_id):
            return False
        events.append(conn, [_told("session.ended", name, address, now)])
        return True

    ended = await web.db.write(end)
    request.app.state.identities.forget()
    return ended


async def change_password(request: AnyRequest, web: Web, identity: Identity, old: str, new: str) -> list[Cookie]:
    """Check the old password, set the new one; every session ends, and who changed it by a browser gets a new cookie.

    Raises Forbidden, TooMany, Busy, BadField, or Unauthorized when another set one meanwhile, here or at another instance.
    """
    user, was = identity.user, identity.session
    check_password(new, user.name, field="new")
    caller = Caller(user.name, auth.address_of(request), f"session {was.id if was else ''}")
    await request.app.state.throttle.begin(caller)
    if not await request.app.state.hasher.verify(user.password_hash, old):
        raise Forbidden("the old password is wrong", field="old")
    stored, cookie, now = await request.app.state.hasher.hash(new), secrets.token_urlsafe(32), web.clock.now()

    def change(conn: Connection) -> None:
        _unchanged(conn, user)
        throttling.succeeded(conn, caller)
        account_actions.change_password(conn, identity.actor, user.name, stored, now)
        if was:
            accounts.add_session(conn, _new_session(user, request, now, was.csrf_token), forms.digest(cookie))

    await web.db.write(change)
    request.app.state.identities.forget()
    return [auth.session_cookie(request, cookie, int(auth.LONGEST_S))] if was else []

"""Signing in and out, one's own account and sessions (SPEC 8, RELIABILITY R140-R154)."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import Struct

from taskdash.errors import NotFound
from taskdash.model.instants import to_rfc3339, to_rfc3339_or_none
from taskdash.model.records import Role, Session
from taskdash.store import accounts
from taskdash.web import auth, sign_in
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of


class SignInBody(Struct):
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
    role: Role
    groups: list[str]


class SignedIn(Struct):
    """Answer of /login."""

    user: UserBrief
    csrf_token: str


class Me(Struct):
    """Answer of /me."""

    name: str
    role: Role
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


class Sessions(Struct):
    """Answer of /me/sessions."""

    items: list[SessionShape]
    next: str | None = None


_sign_ins = msgspec.json.Decoder(SignInBody)
_new_passwords = msgspec.json.Decoder(NewPassword)


@post("/api/v1/login", opt={"action": auth.PUBLIC, "body": SignInBody}, status_code=200, request_max_body_size=4_096)
async def login(request: Request[Any, Any, Any], web: Web) -> Response[SignedIn]:
    """Sign in; sets the session cookie."""
    wanted: SignInBody = await body_of(request, _sign_ins)
    made = await sign_in.sign_in(request, web, wanted.user, wanted.password)
    brief = UserBrief(made.user.name, made.user.role, list(made.user.groups))
    return Response(SignedIn(brief, made.session.csrf_token), cookies=made.cookies)


@post("/api/v1/logout", opt={"action": "see"}, status_code=204)
async def logout(request: Request[Any, Any, Any], web: Web, identity: Identity) -> Response[None]:
    """End this session."""
    return Response(None, status_code=204, cookies=await sign_in.sign_out(request, web, identity))


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


@post("/api/v1/me/password", opt={"action": "change_own_account", "body": NewPassword}, status_code=204)
async def password(request: Request[Any, Any, Any], web: Web, identity: Identity) -> Response[None]:
    """Change one's own password; ends one's other sessions and gives this one a new cookie."""
    wanted: NewPassword = await body_of(request, _new_passwords)
    cookies = await sign_in.change_password(request, web, identity, wanted.old, wanted.new)
    return Response(None, status_code=204, cookies=cookies)


@get("/api/v1/me/sessions", opt={"action": "see"})
async def sessions(web: Web, identity: Identity) -> Sessions:
    """Where I am signed in."""
    current = identity.session.id if identity.session else ""
    found = await web.db.read(lambda conn: accounts.sessions_of(conn, identity.user.name))
    return Sessions([_shape(session, current) for session in found])


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
    if not await sign_in.end_session(request, web, identity, opened(session_id)):
        raise NotFound("you have no session of that id")


ROUTES = [login, logout, me, password, sessions, end_session]

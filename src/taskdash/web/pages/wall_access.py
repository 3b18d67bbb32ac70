"""Who may look at the wall: a token that can only read, kept in a cookie that no script sees, or a session. UI 6 (Wall); R140.

The token's text stands in the address's fragment, which no browser sends; the wall posts it once, in the body of a request.
From then on the cookie carries it, to /wall and nowhere else, so that a revoked token ends the wall with its next look.
"""

from litestar.datastructures import Cookie

from taskdash.errors import Forbidden, Unauthorized
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.rules import secrets as forms
from taskdash.web import auth
from taskdash.web.auth import AnyConnection, Identities, Identity
from taskdash.web.context import Web

PATH = "/wall"
_YEAR_S = 31_536_000


def cookie_name(connection: AnyConnection) -> str:
    """`__Secure-taskdash-wall` over TLS."""
    return "__Secure-taskdash-wall" if auth.is_tls(connection) else "taskdash-wall"


def cookie(connection: AnyConnection, token: str) -> Cookie:
    """The cookie of a wall."""
    name, secure = cookie_name(connection), auth.is_tls(connection)
    return Cookie(key=name, value=token, path=PATH, max_age=_YEAR_S, httponly=True, secure=secure, samesite="strict")


def reads_only(actor: Actor) -> bool:
    """Whether a token can do nothing but look: it has the scope read alone, or no scope and the role viewer."""
    return set(actor.scopes) == {"read"} or (not actor.scopes and actor.role == "viewer")


async def admit(web: Web, connection: AnyConnection, token: str) -> Identity:
    """The identity behind a wall's token. Raises Unauthorized, Forbidden."""
    identity = await _behind(web, connection, token)
    if identity is None:
        raise Unauthorized("this token is not known, has expired or was revoked")
    if not reads_only(identity.actor):
        raise Forbidden("a wall wants a token that can only read")
    return identity


async def viewer(web: Web, connection: AnyConnection) -> Identity | None:
    """Who looks at the wall: by its cookie, else by a session."""
    identity = await _behind(web, connection, connection.cookies.get(cookie_name(connection), ""))
    if identity is not None and reads_only(identity.actor):
        return identity
    known = await auth.identify(web, connection)
    return known if known and roles.may(known.actor, "see") else None


async def _behind(web: Web, connection: AnyConnection, token: str) -> Identity | None:
    identities: Identities = connection.app.state.identities
    return await identities.of(web, forms.digest(token), is_token=True) if forms.is_token(token) else None

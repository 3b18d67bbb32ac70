"""Tokens of programs: one's own, or for admins anybody's. The text is in one answer and nowhere else (R148)."""

from typing import Any, Literal

import msgspec
from litestar import Request, delete, get, patch, post
from msgspec import UNSET, Struct, UnsetType

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import TokenWish
from taskdash.errors import BadField
from taskdash.model.instants import to_rfc3339, to_rfc3339_or_none
from taskdash.model.records import Actor, Role, Scope, Token
from taskdash.rules import roles
from taskdash.store import account_pages
from taskdash.web import cursor as cursors
from taskdash.web.context import Web
from taskdash.web.paths import opened
from taskdash.web.problems import body_of
from taskdash.web.query import LIMIT, Limit


class TokenShape(Struct):
    """A token without its text."""

    id: str
    user: str
    name: str
    role: Role
    scopes: list[Scope]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class MadeToken(TokenShape):
    """The answer that holds the text, once."""

    token: str = ""


class Tokens(Struct):
    """A page of them."""

    items: list[TokenShape]
    next: str | None = None


class NewToken(Struct):
    """POST /tokens. `scope` is another name of `scopes`.

    `days` 0 or "never": it never expires; left out: 90, and never for scope ingest alone.
    """

    name: str
    user: str = ""
    role: Role | None = None
    scopes: list[Scope] | UnsetType = UNSET
    scope: list[Scope] | UnsetType = UNSET
    days: int | Literal["never"] | None = None

    def wish(self, actor: Actor) -> TokenWish:
        """What is asked for. Raises BadField when both names of the scopes were sent."""
        if self.scopes is not UNSET and self.scope is not UNSET:
            raise BadField("scope is another name of scopes: send one of them", field="scope")
        scopes = self.scope or self.scopes or []
        days = 0 if self.days == "never" else self.days
        return TokenWish(user=self.user or actor.id, name=self.name, role=self.role, scopes=tuple(scopes), days=days)


class ChangedToken(Struct):
    """PATCH /tokens/{id}."""

    revoked: bool


_new = msgspec.json.Decoder(NewToken)
_changed = msgspec.json.Decoder(ChangedToken)


def shape(token: Token) -> TokenShape:
    """A token's record."""
    return TokenShape(
        token.id,
        token.user,
        token.name,
        token.role,
        list(token.scopes),
        to_rfc3339(token.created_at),
        *map(to_rfc3339_or_none, (token.expires_at, token.last_used_at, token.revoked_at)),
    )


@get("/api/v1/tokens", opt={"action": "see"})
async def tokens(web: Web, actor: Actor, limit: Limit = LIMIT, cursor: str = "") -> Tokens:
    """My tokens; for admins everybody's. Newest first."""
    whose = "" if roles.may(actor, "see_accounts") else actor.id
    after = str(cursors.decode(cursor, "tokens", [str])[0]) if cursor else ""
    found = await web.db.read(lambda conn: account_pages.tokens_before(conn, whose, after, limit + 1, revoked=None))
    next_ = cursors.encode("tokens", [found[limit - 1].id]) if len(found) > limit else None
    return Tokens([shape(token) for token in found[:limit]], next_)


@post("/api/v1/tokens", opt={"action": "change_own_account", "body": NewToken}, status_code=201)
async def create_token(request: Request[Any, Any, Any], web: Web, actor: Actor) -> MadeToken:
    """A new token; its text is in this answer only."""
    wanted: NewToken = await body_of(request, _new)
    wish = wanted.wish(actor)
    text, made = await web.db.write(lambda conn: account_actions.create_token(conn, actor, wish, web.clock.now()))
    return MadeToken(**msgspec.structs.asdict(shape(made)), token=text)


async def _revoke(request: Request[Any, Any, Any], web: Web, actor: Actor, token_id: str) -> Token:
    whose, now = opened(token_id), web.clock.now()
    revoked = await web.db.write(lambda conn: account_actions.revoke_token(conn, actor, whose, now))
    request.app.state.identities.forget()
    return revoked


@patch("/api/v1/tokens/{token_id:str}", opt={"action": "change_own_account", "body": ChangedToken})
async def change_token(request: Request[Any, Any, Any], web: Web, actor: Actor, token_id: str) -> TokenShape:
    """Revoke a token (`{"revoked": true}`); there is no way back."""
    wanted: ChangedToken = await body_of(request, _changed)
    if wanted.revoked:
        return shape(await _revoke(request, web, actor, token_id))
    raise BadField("revoked must be true: a token is never given back", field="revoked")


@delete("/api/v1/tokens/{token_id:str}", opt={"action": "change_own_account"}, status_code=204)
async def revoke_token(request: Request[Any, Any, Any], web: Web, actor: Actor, token_id: str) -> None:
    """The same as revoking."""
    await _revoke(request, web, actor, token_id)


ROUTES = [tokens, create_token, change_token, revoke_token]

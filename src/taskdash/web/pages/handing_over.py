"""Hand over all that one holds, or as a lead what another holds: to whom, with a note, and then be away. SPEC 6; UI 6.

Law: the button names a count; when another number is held by then, nothing is done and the form says so.
"""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.actions import accounts as account_actions
from taskdash.actions import bulk
from taskdash.actions.accounts import UserChange
from taskdash.actions.bulk import Filtered, Result
from taskdash.errors import BadField, Forbidden, TaskDashError
from taskdash.model.instants import Instant
from taskdash.model.records import Actor
from taskdash.rules import roles
from taskdash.rules.roles import Visibility
from taskdash.store import loads, task_page, task_picks
from taskdash.store.loads import Held
from taskdash.store.task_filters import Filters
from taskdash.web.api.claims import check_note
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import ends, links, picking, sentences, task_day
from taskdash.web.pages.claiming import Fields, first, number_of, other_count
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, go, html, page_get, page_post, view_of
from taskdash.web.pages.load import Person
from taskdash.web.pages.render import View

PATH = "/handover"


class _Form(Struct, frozen=True):
    held: Held
    act: int
    reasons: list[tuple[str, int]]
    people: list[Person]


@page_get(PATH, opt={"action": "hand_over"})
async def handover_page(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The form. `from`: whose tasks; without, the reader's own."""
    view, query = await view_of(request, web, identity), request.query_params
    giver = _giver(identity.actor, query.get("from", ""))
    fields = {"next": [links.same_origin(query.get("next", "/mine"), "/mine")], "from": [giver]}
    return await _form(request, web, view, fields, "")


@page_post(PATH, opt={"action": "hand_over"})
async def hand_over(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """Hand over; what was not is said for each."""
    fields, view, actor = await fields_of(request), await view_of(request, web, identity), identity.actor
    giver = _giver(actor, first(fields, "from"))
    fields["from"] = [giver]
    to = first(fields, "name").strip() or first(fields, "user")
    try:
        away_until = _away_until(view, fields) if giver == actor.id else None
        results = await _give(web, view, actor, giver, to, fields)
        if away_until is not None:
            change = UserChange(away_until=away_until)
            await web.db.write(lambda conn: account_actions.change_user(conn, actor, actor.id, change, view.now))
    except TaskDashError as error:
        return await _form(request, web, view, fields, other_count(view, error, _expected(fields)))
    done = sum(result.error is None for result in results)
    said = view.texts.plural("%(n)s task handed over to %(who)s.", "%(n)s tasks handed over to %(who)s.", done, who=to)
    return go(request, first(fields, "next") or "/mine", sentences.of_many(view, said, results))


async def _give(web: Web, view: View, actor: Actor, giver: str, to: str, fields: Fields) -> list[Result]:
    if not to:
        raise BadField(view.texts("Choose who takes over."), field="to")
    if to == giver:
        raise BadField(view.texts("%(who)s holds them already.", who=to), field="to")
    chosen = Filtered(lambda conn, limit: task_picks.held_by(conn, giver)[:limit], _expected(fields))
    note = check_note(first(fields, "note"))
    return await bulk.hand_over(web.db, actor, chosen, to, view.now, note=note, visibility=web.visibility)


def _expected(fields: Fields) -> int:
    return number_of(first(fields, "expected")) or 0


def _giver(actor: Actor, asked: str) -> str:
    """Whose tasks they are. Raises Forbidden when a member asks for another's."""
    if asked in {"", "me", actor.id}:
        return actor.id
    if not roles.at_least(actor.role, "lead"):
        raise Forbidden("only a lead hands over what others hold")
    return asked


def _away_until(view: View, fields: Fields) -> Instant | None:
    """Until when to be away after it; None: not at all. Raises BadField."""
    if first(fields, "away") != "yes":
        return None
    until = ends.wished(view, fields)
    if not isinstance(until, int) or until <= view.now:
        raise BadField(view.texts("Away until must lie in the future."), field="away_until")
    return until


async def _form(request: HtmlRequest, web: Web, view: View, fields: Fields, error: str) -> Html:
    giver = first(fields, "from")
    form = await web.db.read(lambda conn: _read(conn, view, giver, fields, web.visibility))
    texts, plural, n = view.texts, view.texts.plural, form.held.total
    is_own = view.actor is not None and giver == view.actor.id
    title = plural("Hand over my %(n)s task", "Hand over my %(n)s tasks", n)
    others = plural("Hand over the %(n)s task of %(who)s", "Hand over the %(n)s tasks of %(who)s", n, who=giver)
    values: dict[str, Any] = {
        "title": title if is_own else others,
        "giver": giver,
        "is_own": is_own,
        "n": n,
        "summary": _summary(view, form),
        "act": plural("Hand over %(n)s task", "Hand over %(n)s tasks", n),
        "act_to": plural("Hand over %(n)s task to %(who)s", "Hand over %(n)s tasks to %(who)s", n, who="{who}"),
        "nothing": texts("There is nothing to hand over."),
        "next": first(fields, "next") or "/mine",
        "error": error,
        "people": form.people,
        "user": first(fields, "user"),
        "note": first(fields, "note"),
        "away": first(fields, "away") == "yes",
        "ends": ends.ends(view, keep=False, never=False, evening=False),
        "end": first(fields, "end"),
        "until": first(fields, "until"),
    }
    return html(request, view, "handover.html", values, 422 if error else 200)


def _read(conn: Connection, view: View, giver: str, fields: Fields, visibility: Visibility) -> _Form:
    def count(**more: Any) -> int:
        return task_page.count(conn, Filters(user=(giver,), **more), view.now)

    held = loads.held(conn, giver)
    reasons = [
        ("failed", count(status=("failed",))),
        ("stale", count(stale=True)),
        ("should run", count(schedule=("should_run",))),
    ]
    found = picking.people_of(conn, view, picking.given_by(giver, held), fields, visibility, besides=giver)
    return _Form(held, count(at_risk=True), [each for each in reasons if each[1]], found)


def _summary(view: View, form: _Form) -> str:
    texts, plural = view.texts, view.texts.plural
    reasons = [texts("%(what)s %(n)s", what=texts(word), n=n) for word, n in form.reasons]
    why = task_day.listed(texts, reasons) if reasons else ""
    act = plural("%(n)s needs action", "%(n)s need action", form.act)
    said = texts("%(what)s (%(why)s)", what=act, why=why) if form.act and why else act
    rest = plural("%(n)s is on schedule", "%(n)s are on schedule", form.held.total - form.act)
    return texts("%(act)s, %(rest)s.", act=said, rest=rest)


ROUTES: list[HTTPRouteHandler] = [handover_page, hand_over]

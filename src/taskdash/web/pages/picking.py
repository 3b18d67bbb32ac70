"""The picker of a person: who there is, with what they hold and would hold; the list that the script filters. UI 6 (Assign).

Reads only. What is to be given is what the form names: its tasks, or with `from` all that somebody holds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from sqlalchemy import Connection

from taskdash.model.records import Actor, Task
from taskdash.rules import roles
from taskdash.rules.roles import Visibility
from taskdash.store import loads, tasks
from taskdash.store.loads import Held
from taskdash.web.auth import Identity
from taskdash.web.context import Web
from taskdash.web.pages import load
from taskdash.web.pages.claiming import Fields, first
from taskdash.web.pages.frame import Html, HtmlRequest, fields_of, html, page_post, view_of
from taskdash.web.pages.load import Person
from taskdash.web.pages.render import View

MOST_PICKED = 200


class Given(Struct, frozen=True):
    """How many tasks are given, how many of them each holds already, and how many are of each group."""

    n: int
    held_by: Mapping[str, int]
    groups: Mapping[str, int]


def given_tasks(picked: Sequence[Task]) -> Given:
    """These tasks."""
    return Given(len(picked), Counter(task.user for task in picked), Counter(task.group_id for task in picked))


def given_by(user: str, held: Held) -> Given:
    """All that `user` holds."""
    return Given(held.total, {user: held.total}, held.groups)


def picked_of(conn: Connection, ids: Sequence[str], actor: Actor, visibility: Visibility) -> list[Task]:
    """Those of these tasks that the caller may see, in their order."""
    known = tasks.load_many(conn, ids[:MOST_PICKED])
    return [task for key in known if (task := known[key]) and roles.may_see(actor, task, visibility)]


def people_of(
    conn: Connection, view: View, given: Given, fields: Fields, visibility: Visibility, *, besides: str = ""
) -> list[Person]:
    """Whom the form offers; who is chosen already is always there, `besides` never. Who does not see all sees their groups."""
    actor = view.actor
    within = None if actor is None or roles.sees_everything(actor, visibility) else actor.groups
    chosen, text = first(fields, "user"), first(fields, "find")[:64]
    found = loads.people(conn, view.now, text=text, groups=[group for group in given.groups if group], within=within)
    if chosen and not text and within is None and chosen not in {each.user.name for each in found}:
        found = [*loads.named(conn, [chosen]), *found]
    others = [each for each in found if each.user.name != besides]
    return load.people(view, others, given.n, theirs=given.held_by, groups=given.groups, chosen=chosen)


@page_post("/ui/people", opt={"action": "hand_over"}, status_code=200)
async def people(request: HtmlRequest, web: Web, identity: Identity) -> Html:
    """The list of the picker under what was typed."""
    fields, view, actor = await fields_of(request), await view_of(request, web, identity), identity.actor
    giver = first(fields, "from")
    if giver and not roles.at_least(actor.role, "lead"):
        giver = actor.id

    def read(conn: Connection) -> list[Person]:
        if giver:
            return people_of(conn, view, given_by(giver, loads.held(conn, giver)), fields, web.visibility, besides=giver)
        given = given_tasks(picked_of(conn, fields.get("ids", []), actor, web.visibility))
        return people_of(conn, view, given, fields, web.visibility)

    found = await web.db.read(read)
    values = {"people": found, "others": not giver, "user": first(fields, "user"), "find": first(fields, "find")}
    return html(request, view, "people.html", values)


ROUTES: list[HTTPRouteHandler] = [people]

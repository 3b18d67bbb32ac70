"""What is done to accounts, by whom and from where, once each, and never undone. RELIABILITY R160, on both engines."""

from pathlib import Path

import pytest
from sqlalchemy import Connection

from taskdash.errors import StoreRefused
from taskdash.model.instants import seconds
from taskdash.model.records import Event, NewEvent
from taskdash.store import events
from taskdash.store.database import Database
from taskdash.store.places import Place, Server
from taskdash.store.tables import BINDING_KINDS, KEPT_KINDS
from tests.journeys.api import call, stored
from tests.journeys.commands import taskdash
from tests.journeys.http import PASSWORD, Person, Site
from tests.serving import serving
from tests.support import NOW, a_service, a_task, running

NEW = "another long and private one"
KEPT = [*(f"{prefix}done" for prefix in KEPT_KINDS), *(f"task.{kind}" for kind in BINDING_KINDS)]
FREED = ["task.registered", "task.changed", "task.gone", "service.state", "incident.opened"]


async def told(db: Database, since: int = 0) -> list[Event]:
    return await db.read(lambda conn: events.after(conn, since))


async def one_of_each(site: Site, root: Person) -> list[tuple[str, str]]:
    """Does each thing once; (kind, subject) of what history must say, in this order."""
    done: list[tuple[str, str]] = []

    async def do(method: str, path: str, body: object, status: int, kind: str = "", subject: str = "") -> dict[str, str]:
        got, answer = await call(root.http, method, path, body)
        assert got == status, (path, answer)
        done.extend([(kind, subject)] if kind else [])
        return answer if isinstance(answer, dict) else {}

    await do("POST", "/groups", {"id": "pay", "name": "Pay"}, 201, "group.added", "pay")
    await do("PATCH", "/groups/pay", {"name": "Payments"}, 200, "group.changed", "pay")
    await do("POST", "/groups", {"id": "pay", "name": "again"}, 409)
    ada = {"name": "ada", "role": "member", "groups": [], "password": PASSWORD}
    await do("POST", "/users", ada, 201, "user.added", "ada")
    await do("POST", "/users", ada, 409)
    for change, kind in (({"role": "lead"}, "user.changed"), ({"groups": ["pay"]}, "user.changed"), ({"role": "lead"}, "")):
        await do("PATCH", "/users/ada", change, 200, kind, "ada")
    token = await do("POST", "/tokens", {"name": "ci", "user": "ada"}, 201, "token.created")
    done[-1] = ("token.created", token["id"])
    await do("DELETE", f"/tokens/{token['id']}", None, 204, "token.revoked", token["id"])
    client = site.client({"Sec-Fetch-Site": "same-origin"})
    for password, status, kind in ((NEW, 401, "session.refused"), (PASSWORD, 200, "session.began")):
        got, signed = await call(client, "POST", "/login", {"user": "ada", "password": password})
        assert got == status
        done.append((kind, "ada"))
    client.headers["X-CSRF-Token"] = signed["csrf_token"]
    assert (await call(client, "POST", "/me/password", {"old": PASSWORD, "new": NEW}))[0] == 204
    assert (await call(client, "POST", "/logout", {}))[0] == 204
    done += [("user.password_changed", "ada"), ("session.ended", "ada")]
    await do("POST", "/tasks/1/transfer", {"service_id": "b"}, 200, "task.transferred", "1")
    await do("PATCH", "/users/ada", {"disabled": True}, 200, "user.disabled", "ada")
    return done


async def test_R160_each_action_is_told_once_with_actor_address_and_time(site: Site) -> None:
    await stored(site, a_service(id="a"), a_service(id="b"), a_task(id="1", service_id="a"))
    root = await site.person("root", "admin")
    before = (await told(site.db))[-1].seq
    began = site.web.clock.now()
    done = await one_of_each(site, root)
    found = await told(site.db, before)
    assert [(event.kind, event.subject_id) for event in found] == done
    assert {event.actor_id for event in found} == {"root", "ada"}
    assert {event.actor_type for event in found} == {"user"}
    assert {event.after["address"] for event in found if not event.kind.startswith("task.")} == {"127.0.0.1"}
    assert all(began <= event.at <= site.web.clock.now() for event in found)
    assert PASSWORD not in repr(found)


async def refused(db: Database, statement: str) -> None:
    def run(conn: Connection) -> None:
        conn.exec_driver_sql(statement).close()

    with pytest.raises(StoreRefused, match=r"TRIGGER|RaiseException"):
        await db.write(run)


async def test_R160_no_event_is_changed_and_of_audit_and_bindings_none_ever_goes(place: Place) -> None:
    old, young = NOW - seconds(100), NOW
    new = [NewEvent(at=at, kind=kind, subject_type="task", subject_id="1") for at in (old, young) for kind in KEPT + FREED]
    async with running(place) as db:
        await db.write(lambda conn: events.append(conn, new))
        for event in await told(db):
            await refused(db, f"UPDATE events SET actor_id = 'me' WHERE seq = {event.seq}")
            await refused(db, f"DELETE FROM events WHERE seq = {event.seq}")
        await refused(db, "UPDATE events SET at = 0")
        await refused(db, "DELETE FROM events")
        if isinstance(place, Server):
            await refused(db, "TRUNCATE events")
        assert await db.write(lambda conn: events.purge(conn, NOW - seconds(1))) == len(FREED)
        left = await told(db)
        assert [(e.kind, e.at) for e in left] == [(each.kind, each.at) for each in new if each.at == young or each.kind in KEPT]
        for event in left:
            await refused(db, f"DELETE FROM events WHERE seq = {event.seq}")


async def test_R160_a_start_says_with_which_settings_and_a_restore_that_it_was_one(
    at: list[str], engine: list[str], tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup")
    env = {"TASKDASH_TCP__TOKEN": "a secret of ours", "TASKDASH_EVENTS__KEEP": "1000000"}
    async with serving(tmp_path / "data", *engine, env=env) as server:
        assert (await taskdash("db", "backup", backup, *at)).status == 0
        await server.stop()
    assert (await taskdash("db", "restore", backup, *at)).status == 0
    async with serving(tmp_path / "data", *engine) as server:
        ended = await taskdash("user", "passwd", "admin", "--password-stdin", *at, text=f"{NEW}\n")
        assert ended.status == 0, ended.errors
        async with server.signed_in(password=NEW) as session, session.get("/api/v1/events?kind=store.*") as answer:
            items = (await answer.json())["items"]
        await server.stop()
    assert [each["kind"] for each in items] == ["store.opened", "store.restored", "store.opened"]
    first = items[-1]["after"]
    assert (first["events.keep"], first["tcp.token"], first["data_dir"]) == ("1000000", '"***"', "set")
    assert "a secret of ours" not in repr(items)
    assert str(tmp_path) not in repr(items)

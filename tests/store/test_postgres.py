"""What only a server can do: several writers, a restart, a connection that dies. RELIABILITY R7, R32."""

import asyncio
import threading

import psycopg
import pytest
from sqlalchemy import Connection

from taskdash.errors import OutcomeUnknown, StartRefused, StoreRefused
from taskdash.model.records import NewEvent
from taskdash.store import events, services
from taskdash.store.migrations.steps import HEAD
from taskdash.store.places import Server
from tests.postgres import Cluster, cluster
from tests.schemas import make_newer
from tests.support import NOW, a_service, eventually, running

WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def told(by: str) -> NewEvent:
    return NewEvent(at=NOW, kind="task.changed", subject_type="task", subject_id=by)


async def test_R7_of_two_writers_that_interleave_no_reader_skips_a_seq(server: Cluster) -> None:
    """The first draws its seq and dawdles; the second must not commit a later one meanwhile."""
    has_drawn, may_end = threading.Event(), threading.Event()

    def slowly(conn: Connection) -> None:
        events.append(conn, [told("first")])
        has_drawn.set()
        may_end.wait(20)

    with server.fresh() as place:
        async with running(place) as first, running(place) as second:
            slow = asyncio.create_task(first.write(slowly))
            await eventually(has_drawn.is_set)
            quick = asyncio.create_task(second.write(lambda conn: events.append(conn, [told("second")])))

            async def the_second_waits_or_is_done() -> bool:
                return quick.done() or bool(await first.read(lambda conn: conn.exec_driver_sql(WAITS).scalar()))

            await eventually(the_second_waits_or_is_done)
            seen = await first.read(lambda conn: events.after(conn, 0))
            may_end.set()
            await asyncio.gather(slow, quick)
            seen += await first.read(lambda conn: events.after(conn, seen[-1].seq if seen else 0))
    assert [event.subject_id for event in seen] == ["first", "second"]


async def test_a_restart_of_the_server_costs_no_write_and_no_read_that_comes_after_it() -> None:
    with cluster() as own, own.fresh() as place:
        async with running(place) as db:
            await db.write(lambda conn: services.save(conn, [a_service(id="a")]))
            assert len(await db.read(lambda conn: services.load_many(conn, ["a"]))) == 1
            await asyncio.to_thread(own.stop)
            await asyncio.to_thread(own.start)
            await db.write(lambda conn: services.save(conn, [a_service(id="b")]))
            for _reader in range(8):
                assert len(await db.read(lambda conn: services.load_many(conn, ["a", "b"]))) == 2


async def test_while_the_server_is_away_all_is_refused_and_afterwards_it_works_by_itself() -> None:
    reasons: list[str] = []
    with cluster() as own, own.fresh() as place:
        async with running(place) as db:
            db.on_refused = reasons.append
            await asyncio.to_thread(own.stop, "immediate")
            with pytest.raises(StoreRefused, match="nothing was kept"):
                await db.write(lambda conn: services.save(conn, [a_service(id="a")]))
            with pytest.raises(StoreRefused):
                await db.read(lambda conn: services.load_many(conn, ["a"]))
            await asyncio.to_thread(own.start)
            await eventually(lambda: reasons[-1:] == [""])
            await db.write(lambda conn: services.save(conn, [a_service(id="b")]))
            assert set(await db.read(lambda conn: services.load_many(conn, ["a", "b"]))) == {"b"}


async def test_R32_a_commit_that_was_cut_is_neither_a_success_nor_a_refusal(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server committed, and its answer never came."""
    from taskdash.store import postgres

    commit = postgres.commit

    def cut(conn: Connection, *, told: bool = False) -> None:
        commit(conn, told=told)
        postgres.rows(conn, "SELECT pg_terminate_backend(pg_backend_pid())")

    with server.fresh() as place:
        async with running(place) as db:
            await db.write(lambda conn: services.save(conn, [a_service(id="a")]))
            monkeypatch.setattr(postgres, "commit", cut)
            with pytest.raises(OutcomeUnknown, match="not known"):
                await db.write(lambda conn: services.save(conn, [a_service(id="b")]))
            monkeypatch.setattr(postgres, "commit", commit)
            await db.write(lambda conn: services.save(conn, [a_service(id="c")]))
            assert set(await db.read(lambda conn: services.load_many(conn, ["a", "b", "c"]))) == {"a", "b", "c"}


async def test_a_connection_that_dies_within_a_change_leaves_nothing_of_it(server: Cluster) -> None:
    def dies(conn: Connection) -> None:
        services.save(conn, [a_service(id="a")])
        conn.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with server.fresh() as place:
        async with running(place) as db:
            with pytest.raises(StoreRefused, match="nothing was kept") as refused:
                await db.write(dies)
            assert not isinstance(refused.value, OutcomeUnknown)
            await db.write(lambda conn: services.save(conn, [a_service(id="b")]))
            assert set(await db.read(lambda conn: services.load_many(conn, ["a", "b"]))) == {"b"}


async def test_a_reader_can_change_nothing(server: Cluster) -> None:
    with server.fresh() as place:
        async with running(place) as db:
            with pytest.raises(StoreRefused, match="ReadOnlySqlTransaction"):
                await db.read(lambda conn: services.save(conn, [a_service()]))


def test_an_empty_database_gets_the_schema_and_a_second_upgrade_finds_it_done(server: Cluster) -> None:
    with server.fresh("template0") as place:
        assert place.revision() is None
        place.upgrade()
        assert place.revision() == HEAD
        place.upgrade()


def test_R17_a_newer_schema_is_refused_and_not_touched(server: Cluster) -> None:
    with server.fresh() as place:
        make_newer(place, "9999", "9998")
        for ask in (place.upgrade, place.revision):
            with pytest.raises(StartRefused, match="is of a newer TaskDash"):
                ask()


def test_R39_a_database_of_another_program_is_refused_and_not_touched(server: Cluster) -> None:
    with server.fresh("template0") as place:
        with psycopg.connect(place.url, autocommit=True) as other:
            other.execute("CREATE TABLE notes (text text)")
        with pytest.raises(StartRefused, match="another program"):
            place.upgrade()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://me:s3cret@127.0.0.1:1/none", r"postgresql://me@127.0.0.1:1/none cannot be used: .*refused"),
        ("postgresql://me:s3cret@127.0.0.1:port/none", "not a PostgreSQL url|invalid"),
        ("postgresql://me:s3cret@[::1/none", "not a PostgreSQL url"),
        ("postgresql://me:s3cret@127.0.0.1/none?colour=red", "not a PostgreSQL url"),
    ],
)
def test_a_url_that_leads_nowhere_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(StartRefused, match=sentence) as refused:
        Server(url).upgrade()
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)

"""Many tasks in one decision, and hand-over, over a real store (SPEC 6, 8)."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from taskdash.actions.bulk import Filtered, Item, Result, bulk, hand_over, set_end
from taskdash.errors import BadField, Conflict, Forbidden, UnknownTask, VersionMissing
from taskdash.model.instants import seconds, to_rfc3339
from taskdash.rules.binding import Wish
from taskdash.store.database import Database
from tests.store.test_claims import ADMIN, ANN, BOB, LEAD, accounts, history, keep, stored
from tests.support import NOW, a_task


def found(*ids: str) -> Filtered:
    def select(_conn: Connection, most: int) -> Sequence[str]:
        return ids[:most]

    return Filtered(select, len(ids))


def outcomes(results: Sequence[Result]) -> dict[str, object]:
    return {result.id: type(result.error) if result.error else result.version for result in results}


async def test_a_bulk_claim_gives_one_result_an_id_in_the_order_asked(db: Database) -> None:
    await keep(db, a_task(id="a"), a_task(id="b", user="bob"), a_task(id="c", group_id="ops"), a_task(id="d", version=3))
    items = [Item("d", 2), Item("missing"), Item("c"), Item("b"), Item("a", 1)]
    results = await bulk(db, ANN, "claim", items, NOW, wish=Wish(until=NOW + seconds(60)))
    assert outcomes(results) == {"d": Conflict, "missing": UnknownTask, "c": Forbidden, "b": Conflict, "a": 2}
    assert [result.id for result in results] == [item.id for item in items]
    assert results[3].error is not None
    assert results[3].error.extra["holder"]["user"] == "bob"
    assert ((await stored(db, "a")).user, (await stored(db, "a")).until) == ("ann", NOW + seconds(60))
    assert [event.subject_id for event in await history(db)] == ["a"]


async def test_bulk_assign_needs_each_version_or_a_filter_with_its_count(db: Database) -> None:
    await accounts(db, "bob")
    await keep(db, a_task(id="a", group_id="mx"), a_task(id="b", group_id="mx", version=7))
    wish = Wish(user="bob", note="take these")
    assert outcomes(await bulk(db, LEAD, "assign", [Item("a", 1), Item("b")], NOW, wish=wish)) == {"a": 2, "b": VersionMissing}
    assert outcomes(await bulk(db, LEAD, "assign", found("a", "b"), NOW, wish=wish)) == {"a": 2, "b": 8}
    assert [event.evidence for event in await history(db)] == ["take these", "take these"]


async def test_bulk_release_pin_and_unpin(db: Database) -> None:
    await keep(db, a_task(id="a", user="ann", group_id="mx"), a_task(id="b", user="bob", group_id="mx"))
    assert outcomes(await bulk(db, ANN, "release", [Item("a"), Item("b")], NOW)) == {"a": 2, "b": Forbidden}
    assert outcomes(await bulk(db, LEAD, "pin", [Item("a"), Item("b")], NOW)) == {"a": 3, "b": 2}
    assert outcomes(await bulk(db, LEAD, "unpin", [Item("a", 3), Item("b", 1)], NOW)) == {"a": 4, "b": Conflict}


async def test_a_filter_that_finds_another_number_changes_nothing(db: Database) -> None:
    await keep(db, a_task(id="a"), a_task(id="b"))
    with pytest.raises(Conflict, match="finds 2 tasks, not the 3 that you saw"):
        await bulk(db, ANN, "claim", Filtered(found("a", "b").ids, 3), NOW)
    assert await history(db) == []


async def test_a_bulk_is_at_most_a_thousand(db: Database) -> None:
    with pytest.raises(BadField) as many:
        await bulk(db, ANN, "claim", [Item(str(n)) for n in range(1_001)], NOW)
    assert many.value.field == "items"
    with pytest.raises(BadField) as expected:
        await bulk(db, ANN, "claim", Filtered(found().ids, 1_001), NOW)
    assert expected.value.field == "expected"


async def test_an_id_that_is_named_twice_is_done_once(db: Database) -> None:
    await keep(db, a_task())
    assert outcomes(await bulk(db, ANN, "claim", [Item("133"), Item("133")], NOW)) == {"133": 2}
    assert len(await history(db)) == 1


async def test_what_one_may_not_see_is_not_there_for_a_bulk(db: Database) -> None:
    await keep(db, a_task(group_id="ops"))
    results = await bulk(db, ANN, "claim", [Item("133")], NOW, visibility="groups")
    assert outcomes(results) == {"133": UnknownTask}


async def test_all_that_one_holds_moves_to_another_in_one_call_with_a_note(db: Database) -> None:
    await accounts(db, "bob")
    await keep(db, a_task(id="a", user="ann"), a_task(id="b", user="ann"), a_task(id="c"))
    results = await hand_over(db, ANN, "ann", "bob", NOW, note="holiday")
    assert outcomes(results) == {"a": 2, "b": 2}
    lines = [(event.kind, event.before["user"], event.after["user"], event.evidence) for event in await history(db)]
    assert lines == [("task.handed_over", "ann", "bob", "holiday")] * 2
    assert await hand_over(db, ANN, "ann", "bob", NOW) == []


async def test_a_member_hands_over_only_what_is_their_own_and_a_lead_within_their_groups(db: Database) -> None:
    await accounts(db, "ann", "bob")
    await keep(db, a_task(id="a", user="ann", group_id="mx"), a_task(id="b", user="ann", group_id="ops"))
    assert set(outcomes(await hand_over(db, BOB, "ann", "bob", NOW)).values()) == {Forbidden}
    assert outcomes(await hand_over(db, LEAD, "ann", "bob", NOW)) == {"a": 2, "b": Forbidden}


async def test_a_filters_result_is_handed_over_when_its_count_is_the_one_that_was_seen(db: Database) -> None:
    await accounts(db, "bob")
    await keep(db, a_task(id="a", user="ann"), a_task(id="b"))
    assert outcomes(await hand_over(db, ADMIN, found("a", "b"), "bob", NOW)) == {"a": 2, "b": 2}
    with pytest.raises(Conflict):
        await hand_over(db, ADMIN, Filtered(found("a").ids, 2), "bob", NOW)
    with pytest.raises(BadField) as nobody:
        await hand_over(db, ADMIN, found("a"), "carol", NOW)
    assert nobody.value.field == "to"


async def test_the_end_of_a_shift_is_set_for_all_that_its_holder_holds_and_acknowledges_nothing(db: Database) -> None:
    mine = (
        a_task(id="a", user="ann", group_id="mx"),
        a_task(id="b", user="ann", until=NOW + 5),
        a_task(id="c", user="ann", gone_at=NOW),
    )
    await keep(db, *mine, a_task(id="d", user="bob"))
    end = NOW + seconds(3_600)
    assert outcomes(await set_end(db, ANN, end, NOW)) == {"a": 2, "b": 2}
    assert [(await stored(db, key)).until for key in "abcd"] == [end, end, None, None]
    assert {(event.kind, event.after["until"]) for event in await history(db)} == {("task.assigned", to_rfc3339(end))}
    assert outcomes(await set_end(db, ANN, NOW, NOW)) == {"a": BadField, "b": BadField}
    assert outcomes(await set_end(db, ANN, None, NOW)) == {"a": 3, "b": 3}
    assert (await stored(db, "a")).until is None

"""Every statement under a request with a key fails once: the key is done once, and never stuck. SPEC 8; R3, R31, R33."""

from typing import Any

import pytest

from taskdash.store.places import Place
from tests.faults.fault_store import FaultStore, Moment
from tests.journeys.api import call
from tests.journeys.http import Person, a_site
from tests.support import eventually


async def _post(who: Person, key: str) -> tuple[int, Any]:
    body = {"name": key, "query": "status=failed"}
    return await call(who.http, "POST", "/views", body, headers={"Idempotency-Key": key})


async def _named(who: Person, name: str) -> int:
    return [view["name"] for view in (await call(who.http, "GET", "/views"))[1]["items"]].count(name)


@pytest.mark.parametrize("moment", ["before", "after commit"])
async def test_R31_R33_whichever_statement_fails_a_key_is_done_once_and_never_stuck(place: Place, moment: Moment) -> None:
    told: set[int] = set()
    store = FaultStore(place, 0, moment)
    async with a_site(store) as site:
        ada = await site.person("ada")
        for n in range(1, 100):
            store.seen, store.fail_at = 0, n
            first = await _post(ada, f"k{n}")
            if store.seen < n:
                break
            told.add(first[0])
            again = await eventually(lambda n=n: _settled(ada, f"k{n}"))
            assert first[0] == 503 or again == first
            assert await _post(ada, f"k{n}") == again
            # a commit that was refused although it was done is told as refused, and its repeat is a second one
            assert await _named(ada, f"k{n}") == 1 or (moment, first[0]) == ("after commit", 503)
    assert n > 3
    assert told == {503, 201}


async def _settled(who: Person, key: str) -> tuple[int, Any] | None:
    answer = await _post(who, key)
    return answer if answer[0] == 201 else None

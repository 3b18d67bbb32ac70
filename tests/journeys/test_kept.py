"""A change that was kept is never told as one that was not, when PostgreSQL ends right after the commit (RELIABILITY R2)."""

from tests.journeys.api import call, stored
from tests.journeys.http import a_site
from tests.postgres import cluster
from tests.support import a_task


async def test_R2_a_claim_that_was_kept_and_cannot_be_shown_is_not_told_as_refused() -> None:
    with cluster() as own, own.fresh() as place:
        async with a_site(place) as site:
            person = await site.person("ann")
            await stored(site, a_task(id="133"))
            site.db.on_commit = lambda has_history: own.stop("immediate") if has_history else None
            status, problem = await call(person.http, "POST", "/tasks/133/claim", {})
            assert (status, problem["errid"], problem["title"]) == (503, 1001, "Kept, but not shown")
            assert "look before you repeat it" in problem["detail"]
            site.db.on_commit = lambda _told: None
            own.start()
            status, task = await call(person.http, "GET", "/tasks/133")
            assert (status, task["user"]) == (200, "ann")

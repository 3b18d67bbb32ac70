"""What pages say of the inputs is what all instances hear together, not what this one hears alone. SPEC 3."""

import pytest

from taskdash.model.instants import seconds
from taskdash.rules.fleet import FRESH_S, Heard, Report, Seen
from taskdash.rules.sight import Source
from taskdash.store.places import Place
from tests.journeys.http import a_site
from tests.support import NOW

NODE = "nsqd:127.0.0.1:4150"


@pytest.mark.parametrize(("age_s", "hears", "lost"), [(0, True, False), (0, False, True), (FRESH_S + 1, True, True)])
async def test_a_node_is_lost_when_no_instance_hears_it(place: Place, age_s: float, hears: bool, lost: bool) -> None:
    told = Report(inputs=(Heard(Source(name=NODE, healthy=hears, since=NOW)),))
    other = Seen("b", told, seconds(age_s))
    async with a_site(place, instance="a", others=lambda: [other]) as site:
        site.web.inputs.report("http", healthy=True)
        site.web.inputs.report(NODE, healthy=False, reason="connection refused")
        ada = await site.person("ada")
        async with ada.http.get("/wall/state") as answer:
            assert answer.status == 200
            assert (NODE in await answer.text()) == lost

"""Times as they are sent: RFC 3339 and nothing else (SPEC 1)."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.errors import BadField
from taskdash.model.fields import time_form
from taskdash.model.instants import EARLIEST, LATEST, SECOND, exact_rfc3339, from_datetime, parse_rfc3339, to_rfc3339
from taskdash.rules.schedule import schedule
from taskdash.web.query import filter_instant, parse_instant

NEW_YEAR = exact_rfc3339("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "2026-W01-1T00:00:00Z",
        "2026-001T00:00:00Z",
        "20260101T000000Z",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+0800",
        "2026-01-01T00:00:00+08",
        "2026-01-01T00:00:00+08:00:00",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-12-31T23:59:61Z",
        "2026-12-31T12:00:60Z",
        "2026-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "12026-01-01T00:00:00Z",
        "２０２６-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "2026-01-01",
    ],
)
def test_what_is_not_rfc_3339_is_refused_everywhere(text: str) -> None:
    for read in (time_form, parse_instant, filter_instant):
        with pytest.raises(BadField, match="RFC 3339"):
            read(text, "until")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-01t00:00:00z", NEW_YEAR),
        ("2026-01-01 00:00:00Z", NEW_YEAR),
        ("2026-01-01T08:00:00+08:00", NEW_YEAR),
        ("2025-12-31T20:00:00.000-04:00", NEW_YEAR),
        ("2025-12-31T23:59:60Z", NEW_YEAR),
        ("2026-01-01T07:59:60+08:00", NEW_YEAR),
        ("2026-01-01T00:00:00.1234567891Z", NEW_YEAR + 123_456_789),
        ("1969-12-31T23:59:59Z", -SECOND),
    ],
)
def test_every_form_of_rfc_3339_names_its_instant(text: str, same: int) -> None:
    assert parse_rfc3339(text) == parse_instant(text, "until") == filter_instant(text, "since") == same
    assert time_form(text, "start_time") == "instant"


@given(st.datetimes(timezones=st.integers(-1_439, 1_439).map(lambda n: timezone(timedelta(minutes=n)))))
def test_a_time_of_any_year_and_offset_is_read_as_python_means_it(moment: datetime) -> None:
    assert exact_rfc3339(moment.isoformat()) == from_datetime(moment)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("0001-01-01T00:00:00+23:59", EARLIEST),
        ("1677-09-21T00:00:00Z", EARLIEST),
        ("2263-01-01T00:00:00Z", LATEST),
        ("9999-12-31T23:59:60Z", LATEST),
    ],
)
def test_a_year_beyond_an_instant_is_a_time_and_bounds_a_filter_but_is_no_end_to_keep(text: str, nearest: int) -> None:
    assert time_form(text, "stop_time") == "instant"
    assert filter_instant(text, "since") == nearest
    with pytest.raises(BadField, match="until must lie after 1677-09-22 and before 2262-04-11"):
        parse_instant(text, "until")


def test_a_task_may_start_before_and_stop_after_every_instant() -> None:
    always = schedule("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "waiting", NEW_YEAR, None)  # type: ignore[arg-type]
    assert always == ("should_run", LATEST)
    assert to_rfc3339(LATEST) == "2262-04-11T23:47:16.000Z"
    never = schedule("2900-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "running", NEW_YEAR, None)  # type: ignore[arg-type]
    assert never == ("should_stop", None)

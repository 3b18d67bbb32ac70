"""The words beside the pictures of a service (web.pages.service_charts)."""

from zoneinfo import ZoneInfo

from taskdash.model.instants import parse_rfc3339, seconds
from taskdash.model.records import Service
from taskdash.web.pages import service_charts, texts
from taskdash.web.pages.render import View
from tests.support import a_service

JUST_AFTER_MIDNIGHT = parse_rfc3339("2026-11-24T16:10:00Z")


def marks(service: Service) -> list[str]:
    view = View(
        texts=texts.load("en"), zone=ZoneInfo("Asia/Shanghai"), now=JUST_AFTER_MIDNIGHT, theme="", here="/", csrf_token=""
    )
    found: list[str] = service_charts.half_hour(view, service, ())["line_marks"]
    return found


def test_the_axis_of_half_an_hour_has_whole_times_also_over_midnight() -> None:
    assert marks(a_service(created_at=JUST_AFTER_MIDNIGHT - seconds(9_000))) == ["23:40", "23:55", "00:10"]


def test_an_axis_longer_than_a_day_names_the_days() -> None:
    slow = a_service(created_at=JUST_AFTER_MIDNIGHT - seconds(9_000_000), interval_s=86_400.0)
    assert marks(slow)[-1] == "11-25 00:10"
    assert all(len(mark) == len("11-25 00:10") for mark in marks(slow))

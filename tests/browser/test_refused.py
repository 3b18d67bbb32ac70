"""What is refused is told in the reader's language, on a page and in a toast; the API keeps its words. UI 6, 9; SPEC 8."""

import re

import pytest
from playwright.async_api import Browser

from tests.browser.people import signed_in
from tests.journeys.http import Site

ENGLISH = re.compile(r"\b(?:this|needs?|role|must|only|the|you)\b")
LEADS = ("/tasks/pin", "/services/pause", "/services/collect", "/services/archive", "/services/resume", "/tasks/assign")
MEMBERS = ("/tasks/claim", "/tasks/release", "/mine/shift", "/handover", "/incidents/acknowledge", "/tasks/many", "/tasks/undo")


def sentences(html: str) -> list[str]:
    """What the toast or the middle of an error page says."""
    found = re.findall(r'class="toast.*?<span>(.*?)</span>|<h1>.*?</h1><p>(.*?)</p>', html, re.DOTALL)
    return [re.sub("<.*?>|&#39;", "", toast or page) for toast, page in found]


@pytest.mark.parametrize("fragment", [False, True], ids=["page", "fragment"])
@pytest.mark.parametrize(
    ("path", "who", "needed"),
    [*((path, "zxf", "组长") for path in LEADS), *((path, "vic", "成员") for path in MEMBERS)],
)
async def test_who_has_not_the_role_is_told_in_chinese_which_it_needs(
    town_site: Site, path: str, who: str, needed: str, fragment: bool
) -> None:
    person = await town_site.again(who)
    headers = {"Accept-Language": "zh-CN", **({"X-Fragment": "/tasks"} if fragment else {})}
    async with person.http.post(path, data={"id": "1001", "next": "/tasks"}, headers=headers) as answer:
        assert answer.status == 403
        (said,) = sentences(await answer.text())
    assert f"「{needed}」" in said
    assert not ENGLISH.search(said), said


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_a_claim_that_is_refused_says_in_chinese_why(chromium: Browser, town_site: Site, script: bool) -> None:
    zoe = await signed_in(chromium, town_site, "zxf", locale="zh-CN", java_script_enabled=script)
    await zoe.page.goto("/tasks?user=none&group=pay&sort=id")
    button = zoe.page.locator("button[name=id]").first
    key = await button.get_attribute("value")
    root = await town_site.again("root")
    async with root.http.patch("/api/v1/users/zxf", json={"groups": ["mx"]}) as answer:
        assert answer.status == 200
    await button.click()
    said = await zoe.is_told("pay")
    assert said == f"{key}：任务属于 pay 组，你不在该组。"


async def test_the_api_says_what_it_always_said_whatever_language_is_wanted(town_site: Site) -> None:
    vic = await town_site.again("vic")
    async with vic.http.post("/api/v1/tasks/1001/claim", json={}, headers={"Accept-Language": "zh-CN"}) as answer:
        assert answer.status == 403
        assert (await answer.json())["detail"] == "this needs the role member, and you are viewer"


async def test_a_wrong_filter_and_a_wrong_time_are_told_in_chinese(town_site: Site) -> None:
    person = await town_site.again("ssx")
    for path in ("/tasks?stale=perhaps", "/tasks?sort=colour", "/history?from=yesterday", "/tasks?limit=0"):
        async with person.http.get(path, headers={"Accept-Language": "zh-CN"}) as answer:
            alerts = re.findall(r'role="alert".*?</p>', await answer.text(), re.DOTALL)
        assert any("必须" in alert for alert in alerts), path


async def test_reasons_of_dead_letters_are_told_in_chinese(town_site: Site) -> None:
    person = await town_site.again("root")
    async with person.http.get("/admin/dead-letters", headers={"Accept-Language": "zh-CN"}) as answer:
        text = await answer.text()
    assert "id：应为 str，却是 int" in text
    assert "正文在第 0 字节处不是有效的 UTF-8" in text
    assert not re.search(r"<bdi>[^<]*(?:expected|is not)[^<]*</bdi> ·", text)

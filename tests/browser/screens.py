"""Every screen that a person can open, and what is wrong with one that is open."""

from pathlib import Path
from typing import Any

from tests.browser.people import Visitor

HERE = Path(__file__).parent
AXE = HERE.parents[1] / ".tools/web/node_modules/axe-core/axe.min.js"
INSPECT = (HERE / "inspect.js").read_text(encoding="utf-8")
WALK = (HERE / "walk.js").read_text(encoding="utf-8")
FOCUS = (HERE / "focus.js").read_text(encoding="utf-8")

SCREENS = (
    "/",
    "/tasks",
    "/tasks?status=failed&group=data&user=me",
    "/tasks?q=nothing+like+it",
    "/tasks/1001",
    "/tasks/1007",
    "/tasks/jobs%2F2024%2Fa%20b",
    "/tasks/assign?ids=1000&ids=1001",
    "/mine",
    "/mine/shift",
    "/handover",
    "/services",
    "/services/billing",
    "/services/backup",
    "/history",
    "/palette",
    "/palette?q=10",
    "/keys",
    "/wall",
    "/start",
    "/password",
    "/account",
    "/account/tokens",
    "/admin",
    "/admin/users",
    "/admin/users/zxf",
    "/admin/add-user",
    "/admin/groups/pay",
    "/admin/add-group",
    "/admin/tokens",
    "/admin/dead-letters",
    "/admin/senders",
    "/admin/settings",
)
"""What an administrator sees of the filled site of tests/browser/town.py."""

BEFORE_SIGN_IN = ("/login",)

FRAGMENTS = ("/ui/facets", "/ui/palette", "/ui/keys", "/wall/state", "/admin/dead-letters/{letter_id:str}/body")
"""Paths that answer with HTML or text and are no screen: parts of screens, and a download."""

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
}


UNSTUCK = """for (const e of document.querySelectorAll("body *")) {
  if (["sticky", "fixed"].includes(getComputedStyle(e).position)) e.style.position = "static";
}"""


async def look_at(person: Visitor, path: str, status: int = 200) -> None:
    """Open a screen and wait until its scripts run."""
    answer = await person.page.goto(path)
    assert answer is not None
    assert answer.status == status, path


async def axe_complaints(person: Visitor) -> list[str]:
    """What axe-core finds, a sentence each; the screen is spoilt by it. Bars leave their place: axe takes what may be scrolled
    out from under them for covered."""
    await person.page.evaluate(UNSTUCK)
    if not await person.page.evaluate("'axe' in window"):
        await person.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: Any = await person.page.evaluate("rules => axe.run(rules)", RULES)
    return [f"{v['id']}: {node['html'][:160]} {node['any'][:1]}" for v in found["violations"] for node in v["nodes"][:3]]


async def layout_complaints(person: Visitor, target: int) -> list[str]:
    """Sideways scrolling, cut texts, small targets."""
    return list(await person.page.evaluate(INSPECT, {"target": target}))


async def walk_complaints(person: Visitor) -> list[str]:
    """What the Tab key alone does not come to."""
    count = await person.page.evaluate(WALK)
    for _ in range(count + 8):
        await person.page.keyboard.press("Tab")
    return list(await person.page.evaluate("missed()"))


async def focus_complaints(person: Visitor) -> list[str]:
    """What the keyboard does not reach, or reaches unseen."""
    await person.page.keyboard.press("Tab")
    return list(await person.page.evaluate(FOCUS))

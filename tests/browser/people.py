"""Somebody at a browser: what they see, and whatever their page complains of."""

from typing import Any

from playwright.async_api import Browser, Locator, Page

from tests.journeys.http import PASSWORD, Site
from tests.serving import Serving


class Visitor:
    """One person in a browser of their own. `complaints`: console errors, CSP reports, failed scripts, foreign requests."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        page.on(
            "request", lambda r: None if r.url.startswith((origin, "data:")) else self.complaints.append(f"request {r.url}")
        )

    async def rows(self) -> list[str]:
        """Ids of the tasks on the board, in their order; all of them, also when the page is still on its way."""
        await self.page.wait_for_load_state()
        return [str(await box.get_attribute("value")) for box in await self.page.locator("input[name=ids]").all()]

    async def is_told(self, text: str) -> str:
        """Wait until the toast says this; the whole sentence."""
        await self.page.locator(".toast span", has_text=text).wait_for()
        return " ".join((await self.page.locator(".toast span").inner_text()).split())

    async def sees(self, selector: str, text: str = "") -> Locator:
        """Wait until such an element with this text is visible."""
        found = self.page.locator(selector, has_text=text).first if text else self.page.locator(selector).first
        await found.wait_for()
        return found

    async def misses(self, selector: str) -> None:
        """Wait until there is no such element in sight."""
        await self.page.locator(selector).first.wait_for(state="hidden")

    async def scrolls_sideways(self) -> bool:
        """True when the page is wider than the window."""
        return bool(await self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


async def visitor(browser: Browser, site: Site, *, width: int = 1440, **context: Any) -> Visitor:
    """Somebody who has not signed in."""
    height = 844 if width < 640 else 900
    made = await browser.new_context(base_url=site.origin, viewport={"width": width, "height": height}, **context)
    made.set_default_timeout(15_000)
    return Visitor(await made.new_page(), site.origin)


async def signed_in(browser: Browser, site: Site, name: str, **context: Any) -> Visitor:
    """Somebody who has a session, at the board. (To sign in by the form takes as long as the rest of a test.)"""
    found = await visitor(browser, site, **context)
    cookie = {"name": "taskdash", "value": await site.session(name, agent=context.get("user_agent", "")), "url": site.origin}
    await found.page.context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Lax"}])
    await found.page.goto("/tasks")
    return found


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in and send the sign-in form."""
    await page.fill("input[name=user]", name)
    await page.fill("input[name=password]", password)
    await page.click("form.form button.primary")


async def admin_of(browser: Browser, server: Serving, path: str = "/", **context: Any) -> Visitor:
    """The first admin of a server that runs in a process of its own, signed in."""
    made = await browser.new_context(**{"base_url": server.url, "locale": "en", **context})
    made.set_default_timeout(15_000)
    found = Visitor(await made.new_page(), server.url)
    await found.page.goto(f"/login?next={path}")
    await sign_in(found.page, "admin", server.admin)
    await found.page.wait_for_url(server.url + path)
    return found

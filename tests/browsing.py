"""A real Chromium over the dashboard, for tests of what a person sees.

SPILLWAY_CHROMIUM names the browser (default: what the PATH has). Without one these tests are skipped, and fail where
SPILLWAY_REQUIRE_SERVICES=1. SPILLWAY_SCREENSHOTS names a folder in which to keep pictures of every page.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import uvicorn
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI
from playwright.async_api import Browser, Page, Request, async_playwright, expect

from gateway.dashboard.facts import Facts
from gateway.dashboard.session import Sessions
from gateway.database import Database
from gateway.keys import KeyStore
from gateway.routes.dashboard import dashboard_router
from tests.dashboard_seed import NOW
from tests.dashboard_visit import TOKEN

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
WIDTHS = (360, 820, 1400)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
AXED = ((360, "dark"), (1400, "light"))  # axe-core takes longer than the page, and sees markup that all widths share

# what a reader with weak eyes needs: text against its ground, WCAG 2.2 AA
LOW_CONTRAST = """() => {
  const parse = c => { const v = c.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v };
  const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] > 0.99) return c; } return [255, 255, 255, 1] };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!walk.currentNode.textContent.trim() || !box.width || e.closest('svg, details:not([open]) > :not(summary)'))
      continue;
    const [a, b] = [light(parse(style.color)), light(ground(e))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) bad.push(e.className + ': ' + walk.currentNode.textContent.trim());
  }
  return bad;
}"""

# what a screen reader needs
UNNAMED = """() => [
  ...[...document.querySelectorAll('table')].filter(t => !t.caption?.textContent.trim()).map(() => 'table: caption'),
  ...[...document.querySelectorAll('th')].filter(t => !t.scope || !t.textContent.trim()).map(t => 'th: ' + t.outerHTML),
  ...[...document.querySelectorAll('input:not([type=hidden], [hidden])')].filter(i => !i.labels.length).map(i => i.id),
  ...[...document.querySelectorAll('section')].filter(s => !s.ariaLabel && !document.getElementById(
      s.getAttribute('aria-labelledby'))).map(s => s.outerHTML.slice(0, 80)),
  ...[...document.querySelectorAll('svg[role=img]')].filter(s => !s.ariaLabel).map(() => 'svg'),
  ...(document.querySelectorAll('h1').length == 1 ? [] : ['h1']),
  ...(document.querySelectorAll('main').length == 1 && document.documentElement.lang ? [] : ['main']),
]"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncGenerator[Browser]:
    found = os.environ.get("SPILLWAY_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        missing = "there is no chromium: install Debian's, or name one in SPILLWAY_CHROMIUM"
        if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


@asynccontextmanager
async def dashboard_over(database: Database, facts: Facts | None = None) -> AsyncGenerator[str]:
    """The dashboard alone, its clock standing where the seed ends; gives its base URL."""
    app = FastAPI()
    sessions = Sessions(lambda: database.installation_secret("dashboard"))
    keys, told = KeyStore(database), facts or Facts()
    app.include_router(
        dashboard_router(database, keys, sessions, lambda: told, operator=lambda: TOKEN, clock=lambda: NOW)
    )
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def page_in(
    browser: Browser, width: int = 1400, scheme: Scheme = "light", hosts: Sequence[str] = ("127.0.0.1",)
) -> AsyncGenerator[Page]:
    """A page that must stay on its host, complain of nothing and break no policy."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: _note_failed(complaints, request))
    page.on("request", lambda request: _note_elsewhere(complaints, request.url, hosts))
    yield page
    assert complaints == [], complaints
    await context.close()


def _note_failed(complaints: list[str], request: Request) -> None:
    """An icon still on its way when a person goes on to another page is given up by the browser, and no fault."""
    if request.failure != "net::ERR_ABORTED":
        complaints.append(f"{request.url}: {request.failure}")


def _note_elsewhere(complaints: list[str], url: str, hosts: Sequence[str]) -> None:
    if (urlsplit(url).hostname or "") not in hosts:
        complaints.append(f"asked {url}")


async def sign_in(page: Page, url: str, key: str) -> None:
    await page.goto(f"{url}/dashboard")
    field = page.get_by_label("Key", exact=True)
    await expect(field).to_be_focused()  # it comes focused, and Chromium complains of who is quicker
    await field.fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def looks_right(page: Page, name: str, width: int, scheme: str) -> None:
    """No sideways scrolling, nothing too pale to read, nothing without a name; a picture, where they are wanted."""
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
    assert await page.evaluate(LOW_CONTRAST) == [], name
    assert await page.evaluate(UNNAMED) == [], name
    folder = os.environ.get("SPILLWAY_SCREENSHOTS")
    if folder:
        await page.screenshot(path=f"{folder}/{name}-{width}-{scheme}.png", full_page=True)
    if (width, scheme) not in AXED:
        return
    found = await Axe().run(page)
    grave = [v for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in grave] == [], name

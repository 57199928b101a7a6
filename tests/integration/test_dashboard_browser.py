"""The dashboard in a real Chromium, as a person drives it: by mouse and keyboard, wide and narrow, light and dark.

SPILLWAY_CHROMIUM names the browser (default: what the PATH has). Without one these tests are skipped, and fail where
SPILLWAY_REQUIRE_SERVICES=1. SPILLWAY_SCREENSHOTS names a folder in which to keep pictures of every page.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, Page, Request, async_playwright, expect

from gateway.dashboard.session import Sessions
from gateway.database import Database
from gateway.keys import KeyStore
from gateway.ledger.overview import Overview
from gateway.ledger.reports import Reports
from gateway.routes.dashboard import dashboard_router
from tests.dashboard_seed import NOW, month
from tests.databases import fresh_database
from tests.gateway_server import CASCADE, models, serving
from tests.upstream import BadUpstream, answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
WIDTHS = (360, 820, 1400)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

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
async def dashboard_over(database: Database) -> AsyncGenerator[str]:
    """The dashboard alone, its clock standing where the seed ends; gives its base URL."""
    app = FastAPI()
    sessions = Sessions(lambda: database.installation_secret("dashboard"))
    keys = KeyStore(database)
    app.include_router(dashboard_router(Overview(database), Reports(database), keys, sessions, clock=lambda: NOW))
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[str, str]]:
    """Base URL of a dashboard over a month of traffic, and a key for it."""
    async with fresh_database("sqlite", tmp_path_factory.mktemp("ledger")) as database:
        await month(600).write(database)
        _, key = await KeyStore(database).create("finance team")
        async with dashboard_over(database) as url:
            yield url, key


@asynccontextmanager
async def page_in(browser: Browser, width: int = 1400, scheme: Scheme = "light") -> AsyncGenerator[Page]:
    """A page that must stay on its host, complain of nothing and break no policy."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: _note_failed(complaints, request))
    page.on("request", lambda request: _note_elsewhere(complaints, request.url))
    yield page
    assert complaints == []
    await context.close()


def _note_failed(complaints: list[str], request: Request) -> None:
    """An icon still on its way when a person goes on to another page is given up by the browser, and no fault."""
    if request.failure != "net::ERR_ABORTED":
        complaints.append(f"{request.url}: {request.failure}")


def _note_elsewhere(complaints: list[str], url: str) -> None:
    if urlsplit(url).hostname != "127.0.0.1":
        complaints.append(f"asked {url}")


async def sign_in(page: Page, url: str, key: str) -> None:
    await page.goto(f"{url}/dashboard")
    await page.get_by_label("Key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1, name="What answering cost")).to_be_visible()


async def looks_right(page: Page, name: str, width: int, scheme: str) -> None:
    """No sideways scrolling, nothing too pale to read, nothing without a name; a picture, where they are wanted."""
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
    assert await page.evaluate(LOW_CONTRAST) == [], name
    assert await page.evaluate(UNNAMED) == [], name
    folder = os.environ.get("SPILLWAY_SCREENSHOTS")
    if folder:
        await page.screenshot(path=f"{folder}/{name}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_reads_well(chromium: Browser, seeded: tuple[str, str], width: int, scheme: Scheme) -> None:
    url, key = seeded
    async with page_in(chromium, width, scheme) as page:
        await page.goto(f"{url}/dashboard/login")
        await looks_right(page, "login", width, scheme)
        await sign_in(page, url, key)
        await looks_right(page, "costs", width, scheme)
        await page.get_by_text("The figures as a table").click()
        await looks_right(page, "costs-table", width, scheme)
        await page.locator("tr", has=page.locator(".step.rejected")).first.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1, name="Why this answer")).to_be_visible()
        await looks_right(page, "decision", width, scheme)


async def test_a_wrong_key_is_refused_where_it_was_typed(chromium: Browser, seeded: tuple[str, str]) -> None:
    url, _ = seeded
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{url}/dashboard/login")
    await page.get_by_label("Key").fill("sk-spw-wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("not known here")
    await expect(page.get_by_label("Key")).to_be_focused()
    await context.close()


async def test_a_person_finds_the_way_by_keyboard(chromium: Browser, seeded: tuple[str, str]) -> None:
    url, key = seeded
    async with page_in(chromium) as page:
        await page.goto(f"{url}/dashboard")
        field = page.get_by_label("Key", exact=True)
        await expect(field).to_be_focused()  # the browser gives it the focus, a moment after the page is there
        await page.keyboard.type(key)
        await expect(field).to_have_value(key)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "page")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "content"
        await page.get_by_text("The figures as a table").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("table", name="Spend by day")).to_be_visible()


async def test_periods_pages_decisions_and_leaving(chromium: Browser, seeded: tuple[str, str]) -> None:
    url, key = seeded
    async with page_in(chromium) as page:
        await sign_in(page, url, key)
        await page.get_by_role("link", name="24 hours").click()
        await expect(page.get_by_role("heading", name="Spend by hour")).to_be_visible()
        newest = await page.locator("table.decisions tbody a").first.get_attribute("href")
        await page.get_by_role("link", name="Earlier").click()
        await expect(page.get_by_role("heading", name="Earlier decisions")).to_be_visible()
        assert await page.locator("table.decisions tbody a").first.get_attribute("href") != newest
        await page.get_by_role("link", name="Newest").click()
        assert await page.locator("table.decisions tbody a").first.get_attribute("href") == newest
        await page.locator("table.decisions tbody a").nth(1).click()
        await expect(page.get_by_text("this answer was given")).to_be_visible()
        await page.get_by_role("link", name="Costs").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_what_a_client_asks_shows_up_with_its_reasons(chromium: Browser, tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        large.will(answer("the large answer"))
        sections = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, sections, CASCADE) as gateway, page_in(chromium) as page:
            response = await gateway.chat()
            decision = response.headers["x-request-id"]
            await gateway.closed(decision)
            await sign_in(page, gateway.url, gateway.key)
            await expect(page.locator("table.decisions tbody tr")).to_have_count(1)
            await page.goto(f"{gateway.url}/dashboard/decisions/{decision}")
            await expect(page.get_by_text("The answer scored 0.31, below the threshold of 0.80.")).to_be_visible()
            await expect(page.get_by_text("large answered: it is the last tier")).to_be_visible()
            spent = await page.locator(".card", has_text="Spent").locator(".more").inner_text()
            assert spent == f"{response.headers['x-spillway-cost-usd']} USD"

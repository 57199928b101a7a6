"""The dashboard in a real Chromium, as a person drives it: by mouse and keyboard, wide and narrow, light and dark."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from gateway.keys import KeyRules, KeyStore
from tests.browsing import SCHEMES, WIDTHS, Scheme, chromium, dashboard_over, looks_right, page_in, sign_in
from tests.dashboard_seed import month
from tests.databases import fresh_database
from tests.gateway_server import CASCADE, models, serving
from tests.upstream import BadUpstream, answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

__all__ = ["chromium"]  # a fixture


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[str, str]]:
    """Base URL of a dashboard over a month of traffic, and a key for it."""
    async with fresh_database("sqlite", tmp_path_factory.mktemp("ledger")) as database:
        await month(600).write(database)
        _, key = await KeyStore(database).create("finance team", rules=KeyRules(role="viewer"))
        async with dashboard_over(database) as url:
            yield url, key


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_reads_well(chromium: Browser, seeded: tuple[str, str], width: int, scheme: Scheme) -> None:
    url, key = seeded
    async with page_in(chromium, width, scheme) as page:
        await page.goto(f"{url}/dashboard/login")
        await looks_right(page, "login", width, scheme)
        await sign_in(page, url, key)
        await looks_right(page, "overview", width, scheme)
        await page.locator("#panel-spend summary").click()
        await looks_right(page, "overview-table", width, scheme)
        await page.get_by_role("link", name="All decisions").click()
        await expect(page.get_by_role("heading", level=1, name="Decisions")).to_be_visible()
        await looks_right(page, "decisions", width, scheme)
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
        await expect(page.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "content"
        await page.locator("#panel-spend summary").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("table", name="Spend by day")).to_be_visible()


async def test_periods_pages_decisions_and_leaving(chromium: Browser, seeded: tuple[str, str]) -> None:
    url, key = seeded
    async with page_in(chromium) as page:
        await sign_in(page, url, key)
        await page.get_by_role("link", name="24 hours").click()
        await expect(page.get_by_role("heading", name="Spend by hour")).to_be_visible()
        await page.get_by_role("link", name="30 days").click()
        await page.get_by_role("link", name="Decisions", exact=True).click()
        newest = await page.locator("table.decisions tbody a").first.get_attribute("href")
        await page.get_by_role("link", name="Earlier").click()
        await expect(page.get_by_role("heading", name="Earlier decisions")).to_be_visible()
        assert await page.locator("table.decisions tbody a").first.get_attribute("href") != newest
        await page.get_by_role("link", name="Newest").click()
        assert await page.locator("table.decisions tbody a").first.get_attribute("href") == newest
        await page.locator("table.decisions tbody a").nth(1).click()
        await expect(page.get_by_text("this answer was given")).to_be_visible()
        await page.get_by_role("link", name="Overview").first.click()
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

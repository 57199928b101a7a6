"""The dashboard in a real Chromium, as a person drives it: by mouse and keyboard, wide and narrow, light and dark."""

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import date, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from gateway.dashboard.filters import Filters
from gateway.dashboard.pages import Pages, web_folder
from gateway.dashboard.report_command import as_pdf, found_browser
from gateway.dashboard.report_page import read_report
from gateway.keys import KeyRules, KeyStore
from router.strategy import Strategy
from tests.browsing import SCHEMES, WIDTHS, Scheme, chromium, dashboard_over, looks_right, page_in, sign_in
from tests.dashboard_seed import NOW, Call, Ledger
from tests.dashboard_visit import TOKEN
from tests.databases import fresh_database
from tests.furnished import PLANNED, furnish, label
from tests.gateway_server import CASCADE, models, serving
from tests.upstream import BadUpstream, answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

__all__ = ["chromium"]  # a fixture


PAGES = ("performance", "breakdown", "strategy", "quality", "budgets", "pools", "decisions", "review")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[str, str]]:
    """Base URL of a dashboard over a month of traffic, and a key for it."""
    async with fresh_database("sqlite", tmp_path_factory.mktemp("ledger")) as database:
        facts = await furnish(database)
        await label(database)
        _, key = await KeyStore(database).create("finance team", rules=KeyRules(role="viewer"))
        async with dashboard_over(database, facts) as url:
            yield url, key


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_reads_well(chromium: Browser, seeded: tuple[str, str], width: int, scheme: Scheme) -> None:
    url, _ = seeded
    async with page_in(chromium, width, scheme) as page:
        await page.goto(f"{url}/dashboard/login")
        await looks_right(page, "login", width, scheme)
        await sign_in(page, url, TOKEN)
        await page.locator("#panel-spend summary").click()
        await looks_right(page, "overview", width, scheme)
        for name in PAGES:
            await page.goto(f"{url}/dashboard/{name}?org=default")
            await looks_right(page, name, width, scheme)
        await page.goto(f"{url}/dashboard/pools?sql=1")
        await looks_right(page, "statements", width, scheme)
        await page.goto(f"{url}/dashboard/decisions?policy=support")
        await page.locator("tr", has=page.locator(".step.rejected")).first.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1, name="Why this answer")).to_be_visible()
        await looks_right(page, "decision", width, scheme)


async def test_the_slider_tells_what_another_threshold_comes_to(chromium: Browser, seeded: tuple[str, str]) -> None:
    url, key = seeded
    async with page_in(chromium) as page:
        await sign_in(page, url, key)
        await page.get_by_role("link", name="Strategy").click()
        slider, said = page.get_by_role("slider", name="First threshold"), page.locator(".what-if output")
        await expect(said).to_contain_text("as today")
        before = await said.inner_text()
        await slider.focus()
        for _ in range(8):
            await page.keyboard.press("ArrowRight")
        await expect(said).to_contain_text("0.70")
        await expect(said).to_contain_text("against today: +")
        assert await said.inner_text() != before
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Save the strategy file").click()
        saved = Strategy.load(await (await started.value).path())
        assert [stage.threshold for stage in saved.stages] == [0.7, 0.71, None]
        await page.get_by_role("button", name="Show on the chart").click()
        await expect(page).to_have_url(f"{url}/dashboard/strategy?threshold=0.7")
        await expect(slider).to_have_value("0.7")
        await page.locator("#panel-frontier summary").click()
        cells = page.locator("#panel-frontier tbody tr:nth-child(15)").locator("th, td")
        assert (await cells.all_inner_texts())[0] == "0.70"
        accepted = (await cells.all_inner_texts())[1]
        await expect(said).to_contain_text(f"{accepted} accepted")


async def test_the_slider_of_a_plan_tells_what_another_exchange_rate_came_to(
    chromium: Browser, seeded: tuple[str, str]
) -> None:
    url, key = seeded
    async with page_in(chromium) as page:
        await sign_in(page, url, key)
        await page.goto(f"{url}/dashboard/strategy?policy=research")
        slider, said = page.get_by_role("slider", name="What a dollar must bring"), page.locator(".what-if output")
        await expect(said).to_contain_text("as today")
        await expect(said).to_contain_text("40 of quality")
        await slider.focus()
        await page.keyboard.press("ArrowLeft")
        await expect(said).to_contain_text("120 of quality")
        await expect(said).to_contain_text("against today: −35.5")
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Save the strategy file").click()
        saved = Strategy.load(await (await started.value).path())
        assert saved.plan is not None
        assert (saved.plan.exchange, saved.evidence, saved.kind) == (120.0, None, PLANNED.kind)
        await expect(page.get_by_role("button", name="Try it")).to_have_count(0)  # for the operator alone
        await page.get_by_role("button", name="Show on the chart").click()
        await expect(page).to_have_url(f"{url}/dashboard/strategy?policy=research&exchange=1")
        await looks_right(page, "plan", 1280, "light")


async def test_filters_stand_in_the_address_and_the_csv_has_what_is_shown(
    chromium: Browser, seeded: tuple[str, str]
) -> None:
    url, key = seeded
    async with page_in(chromium) as page:
        await sign_in(page, url, key)
        await page.get_by_text("Filter", exact=True).click()
        await page.get_by_label("Policy").select_option("support")
        await page.get_by_label("Tag").fill("app=mail")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page).to_have_url(f"{url}/dashboard?policy=support&tag=app%3Dmail")
        await expect(page.get_by_text("Filter: policy support, tag app=mail")).to_be_visible()
        await page.get_by_role("link", name="7 days").click()
        await expect(page).to_have_url(f"{url}/dashboard?days=7&policy=support&tag=app%3Dmail")
        await page.get_by_role("link", name="Decisions", exact=True).click()
        policies = await page.locator("table.decisions tbody td:nth-of-type(1)").all_inner_texts()
        assert set(policies) == {"support"}
        await page.get_by_role("link", name="Breakdown").click()
        await page.get_by_role("link", name="model", exact=True).click()
        names = await page.locator("#panel-breakdown tbody th").all_inner_texts()
        async with page.expect_download() as started:
            await page.get_by_role("link", name="CSV of Spend by model").click()
        text = (await (await started.value).path()).read_text()
        assert [line.split(",")[0] for line in text.splitlines()[1:]] == names
        await page.locator("#panel-breakdown tbody th a").first.click()
        await expect(page).to_have_url(re.compile(r"/dashboard\?days=7&policy=support&model=\w+&tag="))
        await page.get_by_role("link", name="Clear").click()
        await expect(page).to_have_url(f"{url}/dashboard")


async def test_a_page_refreshes_what_has_changed_and_nothing_else(chromium: Browser, tmp_path: Path) -> None:
    async with (
        fresh_database("sqlite", tmp_path) as database,
        dashboard_over(database) as url,
        page_in(chromium) as page,
    ):
        ledger = Ledger()
        ledger.request(NOW, [Call(model="small", score=0.9, threshold=0.6)])
        await ledger.write(database)
        await sign_in(page, url, TOKEN)
        await page.locator("#panel-models summary").click()
        await page.evaluate("document.querySelector('#panel-tiers').kept = true")
        await page.evaluate("document.querySelector('#panel-models').kept = true")
        more = Ledger()
        more.rows["writers"].clear()
        more.request(NOW - timedelta(seconds=5), [Call(model="large")], policy=None)
        await more.write(database)
        await page.get_by_role("button", name="Live").click()  # off
        await page.get_by_role("button", name="Live").click()  # and on: it looks at once
        await expect(page.locator("#panel-models tbody")).to_contain_text("large")
        await expect(page.locator("#panel-models details")).to_have_attribute("open", "")
        assert await page.evaluate("document.querySelector('#panel-tiers').kept")
        assert not await page.evaluate("document.querySelector('#panel-models').kept")


async def test_a_reviewer_goes_through_the_queue(chromium: Browser, tmp_path: Path) -> None:
    async with (
        fresh_database("sqlite", tmp_path) as database,
        dashboard_over(database) as url,
        page_in(chromium) as page,
    ):
        ledger = Ledger()
        for n in range(3):
            ledger.request(NOW - timedelta(minutes=n), [Call(model="small", score=0.9, threshold=0.6)])
        await ledger.write(database)
        await sign_in(page, url, TOKEN)
        await page.get_by_role("link", name="Quality").click()
        await expect(page.get_by_text("No labels yet: nobody has said")).to_be_visible()
        await page.get_by_role("link", name="Review").click()
        for left in (2, 1):
            await page.get_by_role("button", name="good").first.click()
            await expect(page.locator(".attempt")).to_have_count(left)
        await page.get_by_role("button", name="bad").click()
        await expect(page.get_by_text("None is left of this period.")).to_be_visible()
        await page.get_by_role("link", name="Quality").click()
        await expect(page.locator(".card", has_text="Quality, as people said")).to_contain_text("66.7")


async def test_a_wrong_key_is_refused_where_it_was_typed(chromium: Browser, seeded: tuple[str, str]) -> None:
    url, _ = seeded
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{url}/dashboard/login")
    await expect(page.get_by_label("Key")).to_be_focused()
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
        await page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="Overview").click()
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


async def test_a_report_is_printed(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    async with fresh_database("sqlite", tmp_path) as database:
        await furnish(database, 150)
        filters = Filters(since=date(2026, 10, 1), until=date(2026, 10, 31))
        content = await read_report(database, filters, NOW)
    page.write_text(Pages(web_folder()).report(content, filters, "2026-10", NOW))
    printed = await asyncio.to_thread(as_pdf, found_browser(), page)
    assert printed.read_bytes().startswith(b"%PDF-")
    async with page_in(chromium, hosts=("",)) as shown:
        await shown.goto(page.as_uri())
        await looks_right(shown, "report", 1400, "light")
        assert await shown.locator("svg.drawn.wide:visible").count() > 0

"""The report is one file that asks nobody for anything, says what the dashboard says, and fails in words."""

import asyncio
import re
from datetime import date
from pathlib import Path

import pytest

from gateway.dashboard.report_command import CannotReport, as_pdf, found_browser, month_of, report
from gateway.database import Database
from tests.furnished import furnish
from tests.gateway_server import OBSERVING, models


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    """A configuration whose ledger has a month in it."""
    path = tmp_path / "spillway.yaml"
    path.write_text(models(large="http://127.0.0.1:9/v1") + OBSERVING)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/spillway.db")
    await database.migrate()
    await furnish(database, 150)
    await database.dispose()
    return path


async def in_thread(config: Path, *, month: str, out: Path | None = None) -> str:
    """What the command writes; it has an event loop of its own."""
    target = out or config.parent / "report.html"
    await asyncio.to_thread(report, month=month, config=config, out=target, pdf=False, org=None, team=None, policy=None)
    return target.read_text()


async def test_a_report_needs_nothing_else(config: Path) -> None:
    text = await in_thread(config, month="2026-10")
    assert "What answering cost in October 2026" in text
    assert not re.search(r"<script|<link|(?:src|href)=|url\(|@import|https?://(?!www\.w3\.org)", text)
    for words in (
        "Saved, net",
        "Spend by day",
        "Spend by team",
        "evening and night support",
        "its bill and the ledger differ",
    ):
        assert words in text
    assert text.count("<svg") > 5


async def test_a_month_without_requests_is_said_to_be_one(config: Path) -> None:
    text = await in_thread(config, month="2025-01")
    assert "Nothing was asked in this period." in text
    assert "$0" in text


@pytest.mark.parametrize("month", ["2026", "2026-13", "10-2026", "2026-1", "1999-01", ""])
def test_a_month_that_is_none_is_refused_in_words(month: str) -> None:
    with pytest.raises(CannotReport, match=r"--month: .* is no month; 2026-10 would be right"):
        month_of(month)


def test_months_end_where_they_end() -> None:
    assert month_of("2026-02") == (date(2026, 2, 1), date(2026, 2, 28))
    assert month_of("2026-12") == (date(2026, 12, 1), date(2026, 12, 31))


def test_without_a_browser_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPILLWAY_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotReport, match=r"--pdf: there is no Chromium .* leave --pdf out and print"):
        found_browser()


def test_a_browser_that_does_not_print_is_told(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    for browser in ("/bin/false", "/nowhere/chromium"):
        with pytest.raises(CannotReport, match="did not print"):
            as_pdf(browser, page)


async def test_a_file_that_cannot_be_written_is_told(config: Path) -> None:
    with pytest.raises(CannotReport, match=r"--out: .* cannot be written"):
        await in_thread(config, month="2026-10", out=config.parent / "no" / "x.html")

"""``spillway report``: what a month cost and saved, as one file that needs nothing else: HTML, and PDF by Chromium.

Knows options, months and files. What the report says is in ``report_page.py``.
"""

import asyncio
import os
import re
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.dashboard.filters import Filters
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.options import DEFAULT_CONFIG, ConfigOption

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE_S = 120


class CannotReport(GatewayError):
    """A month that is none, or a file that cannot be made."""


def report(
    month: Annotated[str, typer.Option("--month", help="Such as 2026-10, in UTC.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The HTML file; default: spillway-report-MONTH.html.")
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also write it as PDF beside it; needs Chromium or Chrome.")
    ] = False,
    org: Annotated[str | None, typer.Option("--org", "--tenant", help="Of this organisation only.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Of this team's id only.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Of this policy only.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """What a month cost, saved and left to do, as one self-contained HTML file."""
    from gateway.config.check import load_settings

    first, last = month_of(month)
    browser = found_browser() if pdf else None
    settings = load_settings(config, serving=False)
    filters = Filters(since=first, until=last, org=org, team=team, policy=policy)
    target = out or Path(f"spillway-report-{month}.html")
    html = asyncio.run(_made(settings.database_url, filters, month))
    try:
        target.write_text(html, encoding="utf-8")
    except OSError as error:
        raise CannotReport(f"--out: {target} cannot be written: {error.strerror or error}") from error
    typer.echo(f"{target}")
    if browser is not None:
        typer.echo(f"{as_pdf(browser, target)}")


def month_of(text: str) -> tuple[date, date]:
    """Its first and last day. Raises CannotReport."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text) or text < "2000":
        raise CannotReport(f"--month: {text!r} is no month; 2026-10 would be right")
    first = date.fromisoformat(f"{text}-01")
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def found_browser() -> str:
    """The browser that prints. Raises CannotReport where there is none."""
    named = os.environ.get("SPILLWAY_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise CannotReport(
            "--pdf: there is no Chromium or Chrome here to print with; install one (Debian: apt install chromium), "
            "name it "
            "in SPILLWAY_CHROMIUM, or leave --pdf out and print the HTML file from any browser"
        )
    return found


def as_pdf(browser: str, page: Path) -> Path:
    """The file printed beside itself. Raises CannotReport."""
    target = page.with_suffix(".pdf")
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has no sandbox to be in
    command = [
        browser, "--headless", "--disable-gpu", *as_root, "--no-pdf-header-footer",
        f"--print-to-pdf={target.resolve()}",
        page.resolve().as_uri(),
    ]  # fmt: skip
    target.unlink(missing_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)  # noqa: S603 - a browser that the operator named
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotReport(f"--pdf: {browser} did not print: {error}") from error
    if done.returncode or not target.is_file():
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise CannotReport(f"--pdf: {browser} did not print (status {done.returncode}): {' '.join(last)}")
    return target


async def _made(url: str, filters: Filters, month: str) -> str:
    from gateway.dashboard.pages import Pages, web_folder
    from gateway.dashboard.report_page import read_report

    database, now = Database(url), datetime.now(UTC)
    try:
        content = await read_report(database, filters, now)
    finally:
        await database.dispose()
    return Pages(web_folder()).report(content, filters, month, now)

"""The dashboard's pages as HTML: the templates, the numbers in them, and who looks at them.

Knows Jinja and where the templates lie. Knows no HTTP and no SQL.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.dashboard import numbers
from gateway.dashboard.costs_page import CostsPage
from gateway.dashboard.decision_page import ending, usage_words, verdict
from gateway.ledger.decisions import DecisionReport
from gateway.ledger.entry import usd
from gateway.ledger.overview import Decision, Period

STATIC = "/dashboard/static"
PERIODS: Mapping[int, str] = {1: "24 hours", 7: "7 days", 30: "30 days", 90: "90 days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks. ``signed_in`` is False where the gateway asks nobody for a key."""

    tenant_id: str
    key_id: str
    name: str
    signed_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodChoice:
    """A link to another period."""

    days: int
    label: str
    current: bool


def web_folder() -> Path:
    """Where templates and static files lie: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_dashboards" / "web"
    return packaged if packaged.is_dir() else package.parent / "dashboards" / "web"


class Pages:
    """Every page of the dashboard. Everything that comes from outside is escaped."""

    def __init__(self, folder: Path) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(folder / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            money=numbers.money,
            decimals=numbers.decimals_for,
            share=numbers.share,
            count=numbers.count,
            requests=lambda number: numbers.count(number) + (" request" if number == 1 else " requests"),
            tokens=numbers.tokens,
            seconds=numbers.seconds,
            probability=numbers.probability,
            moment=numbers.moment,
            short=numbers.short_moment,
            exact=_exact,
            usd=usd,
            plain=_plain,
        )
        self._templates.globals.update(
            static=STATIC,
            style_version=hashlib.sha256((folder / "static" / "spillway.css").read_bytes()).hexdigest()[:12],
            version=version("spillway"),
        )

    def costs(
        self,
        *,
        viewer: Viewer,
        now: datetime,
        days: int,
        period: Period,
        page: CostsPage,
        decisions: Sequence[Decision],
        before: str | None,
        next_before: str | None,
        base_url: str,
    ) -> str:
        """The page of costs."""
        amounts = [amount for decision in decisions for amount in (decision.spent_nanousd, decision.reference_nanousd)]
        return self._render(
            "costs.html",
            viewer=viewer,
            now=now,
            days=days,
            page=page,
            decisions=decisions,
            decision_decimals=numbers.decimals_for(amounts),
            before=before,
            next_before=next_before,
            base_url=base_url,
            periods=[PeriodChoice(days=n, label=label, current=n == days) for n, label in PERIODS.items()],
            period_words=_words(period),
            slot_name="hour" if period.slot < timedelta(days=1) else "day",
        )

    def decision(self, *, viewer: Viewer, report: DecisionReport) -> str:
        """The page that explains one request."""
        return self._render(
            "decision.html",
            viewer=viewer,
            report=report,
            verdict=verdict(report),
            ending=ending,
            usage_words=usage_words,
        )

    def login(self, *, then: str, refusal: str | None = None) -> str:
        """The form that asks for a key."""
        return self._render("login.html", viewer=None, next=then, refusal=refusal)

    def problem(self, *, heading: str, words: str, way_on: str, way_on_label: str, viewer: Viewer | None) -> str:
        """A page that says what is wrong and where to go."""
        return self._render(
            "problem.html", viewer=viewer, heading=heading, words=words, way_on=way_on, way_on_label=way_on_label
        )

    def _render(self, template: str, **content: Any) -> str:
        return self._templates.get_template(template).render(**content)


def _exact(nanousd: int | None) -> str:
    return "" if nanousd is None else f"{usd(nanousd)} USD"


def _plain(rate: Decimal) -> str:
    """A rate without needless zeros and without an exponent."""
    text = format(rate, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _words(period: Period) -> str:
    if period.slot < timedelta(days=1):
        return f"{period.since:%d %B %Y, %H:00} to {period.until:%d %B, %H:00}"
    last = period.until - timedelta(days=1)
    return f"{period.since:%d %B %Y} to {last:%d %B %Y}"

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
from markupsafe import Markup

from gateway.dashboard import numbers
from gateway.dashboard.charts import drawn
from gateway.dashboard.decision_page import (
    answer_words,
    ending,
    entry_words,
    plan_steps,
    question_of,
    step_models,
    step_rows,
    usage_words,
    verdict,
)
from gateway.dashboard.filters import PERIODS, Filters
from gateway.dashboard.panel import Content, exact, shown
from gateway.dashboard.viewer import Viewer
from gateway.ledger.decisions import DecisionReport
from gateway.ledger.entry import usd
from gateway.ledger.overview import Period
from scorer.reasons import Reason

STATIC = "/dashboard/static"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodChoice:
    """A link to another period."""

    label: str
    query: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A page in the menu."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around a page. choices : what the filters offer, by name."""

    viewer: Viewer
    menu: Sequence[Entry]
    here: str
    title: str
    heading: str
    filters: Filters
    period: Period
    now: datetime
    choices: Mapping[str, Sequence[str]]
    base_url: str = ""


def web_folder() -> Path:
    """Where templates and static files lie: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_dashboards" / "web"
    return packaged if packaged.is_dir() else package.parent / "dashboards" / "web"


class Pages:
    """Every page of the dashboard. Everything that comes from outside is escaped."""

    def __init__(self, folder: Path) -> None:
        self._style = (folder / "static" / "spillway.css").read_text(encoding="utf-8")
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
            seconds=numbers.seconds,
            probability=numbers.probability,
            moment=numbers.moment,
            short=numbers.short_moment,
            exact=lambda nanousd: exact(nanousd, "money"),
            exactly=exact,
            shown=shown,
            usd=usd,
            plain=_plain,
        )
        self._templates.globals.update(
            static=STATIC, static_version=_hash_of(folder / "static"), version=version("spillway")
        )

    def page(self, frame: Frame, content: Content) -> str:
        """A page of figures. Takes some computation: render it in a thread."""
        return self._render(
            "page.html",
            **_around(frame),
            content=content,
            drawn=_drawn(content),
            decision_decimals=numbers.decimals_for(
                amount for one in content.decisions or () for amount in (one.spent_nanousd, one.reference_nanousd)
            ),
        )

    def report(self, content: Content, filters: Filters, month: str, now: datetime) -> str:
        """A page that needs nothing else: its style within, no script, no link."""
        period = filters.period(now)
        return self._render(
            "report.html",
            content=content,
            filters=filters,
            month=month,
            month_words=f"{period.since:%B %Y}",
            period_words=_words(period),
            now=now,
            style=self._style,
            drawn=_drawn(content),
        )

    def statements(self, frame: Frame, told: Sequence[str]) -> str:
        """The statements behind a page's figures."""
        return self._render("statements.html", **_around(frame), told=told)

    def decision(
        self,
        frame: Frame,
        report: DecisionReport,
        label: str | None = None,
        said: Mapping[str, Any] | None = None,
        reasons: Mapping[str, Sequence[Reason]] | None = None,
    ) -> str:
        """The page that explains one request.

        label : what the viewer has said of its answer.   said : its transcript, as far as there is one for the viewer.
        reasons : what moved the scores of its answers, by attempt.
        """
        return self._render(
            "decision.html",
            **_around(frame),
            report=report,
            verdict=verdict(report),
            ending=ending,
            usage_words=usage_words,
            entry_words=entry_words(report),
            plan_steps=plan_steps(report),
            step_models=step_models,
            step_rows=step_rows,
            label=label,
            question=question_of(said or {}),
            said=said or {},
            answer_words=answer_words,
            reasons=reasons or {},
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


def _drawn(content: Content) -> dict[str, Markup | None]:
    return {panel.id: None if panel.chart is None else drawn(panel.chart, wide=panel.wide) for panel in content.panels}


def _around(frame: Frame) -> dict[str, Any]:
    filters = frame.filters
    asked = filters.since is None
    return {
        "viewer": frame.viewer,
        "menu": frame.menu,
        "here": frame.here,
        "title": frame.title,
        "heading": frame.heading,
        "filters": filters,
        "kept_query": filters.query(),
        "choices": frame.choices,
        "now": frame.now,
        "base_url": frame.base_url,
        "viewing": frame.viewer.in_words({}),
        "periods": [
            PeriodChoice(label=label, query=filters.with_days(days).query(), current=asked and days == filters.days)
            for days, label in PERIODS.items()
        ],
        "period_words": _words(frame.period),
    }


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _plain(rate: Decimal) -> str:
    """A rate without needless zeros and without an exponent."""
    text = format(rate, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _words(period: Period) -> str:
    if period.slot < timedelta(days=1) and period.until - period.since <= timedelta(days=1):
        return f"{period.since:%d %B %Y, %H:00} to {period.until:%d %B, %H:00}, UTC"
    last = period.until - timedelta(days=1)
    return f"{period.since:%d %B %Y} to {last:%d %B %Y}, UTC"

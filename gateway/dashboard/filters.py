"""What an address asks a page for: a stretch of time and whose spending. What a page shows is all in its address.

Knows the names of parameters and what they may be. Nonsense is nothing asked for: a page is shown in any case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from gateway.ledger.overview import Period
from gateway.ledger.reports import Span

PERIODS: Mapping[int, str] = {1: "24 hours", 7: "7 days", 30: "30 days", 90: "90 days"}
DEFAULT_DAYS = 30
_LONGEST_DAYS = 400
_LONGEST_TEXT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """days : the last so many of them, unless ``since`` and ``until`` (both included) say otherwise."""

    days: int = DEFAULT_DAYS
    since: date | None = None
    until: date | None = None
    org: str | None = None
    team: str | None = None
    key: str | None = None
    policy: str | None = None
    model: str | None = None
    tag: str | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "Filters":
        """Out of an address."""
        texts = {name: _text(asked.get(name)) for name in ("org", "team", "key", "policy", "model", "tag")}
        tag = texts["tag"]
        if tag is not None and not re.fullmatch(r"[^=]+=.*", tag, re.DOTALL):
            texts["tag"] = None
        since, until = _day(asked.get("since")), _day(asked.get("until"))
        if since is None or until is None or not 0 <= (until - since).days < _LONGEST_DAYS:
            since = until = None
        days = asked.get("days", "")
        return cls(days=int(days) if days in map(str, PERIODS) else DEFAULT_DAYS, since=since, until=until, **texts)

    def period(self, now: datetime) -> Period:
        """The stretch of time, cut into hours or days."""
        if self.since is None or self.until is None:
            return Period.days(self.days, now)
        since = datetime.combine(self.since, time(), UTC)
        until = datetime.combine(self.until, time(), UTC) + timedelta(days=1)
        return Period(
            since=since,
            until=until,
            slot=timedelta(hours=1) if until - since <= timedelta(days=2) else timedelta(days=1),
        )

    def span(self, now: datetime) -> Span:
        """Whose spending, in which time."""
        period = self.period(now)
        name, _, value = (self.tag or "").partition("=")
        return Span(
            since=period.since, until=period.until, tenant_id=self.org, team_id=self.team, key_id=self.key,
            policy=self.policy, model=self.model, tag=(name, value) if name else None,
        )  # fmt: skip

    def query(self, **more: str | int | None) -> str:
        """As the query of an address, with its ``?``; empty where nothing is asked for."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.since is not None or self.days == DEFAULT_DAYS:
            told["days"] = None
        asked = {name: str(value) for name, value in (told | more).items() if value is not None}
        return f"?{urlencode(asked)}" if asked else ""

    def with_days(self, days: int) -> "Filters":
        """The same of the last so many days."""
        return replace(self, days=days, since=None, until=None)

    @property
    def narrowing(self) -> tuple[tuple[str, str], ...]:
        """By what it is narrowed beside the time: names and values."""
        named = ("org", "team", "key", "policy", "model", "tag")
        return tuple((name, getattr(self, name)) for name in named if getattr(self, name) is not None)


def _text(given: str | None) -> str | None:
    text = (given or "").strip()
    return text if text and len(text) <= _LONGEST_TEXT and text.isprintable() else None


def _day(given: str | None) -> date | None:
    try:
        return date.fromisoformat(given or "")
    except ValueError:
        return None

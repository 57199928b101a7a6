"""How often a caller may ask: the words, the port, and what a client is told in OpenAI's headers.

Each limit per minute is a bucket that holds a minute's worth and fills steadily, so that in t seconds at most
limit × (1 + t/60) passes. Requests at once are counted by tickets, which end by themselves if nobody gives them back.
Knows no clock, no store and no HTTP but header names.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.errors import RequestError
from gateway.tenancy.scope import RateLimit

Meter = Literal["requests", "tokens", "concurrent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How a bucket stands after what was asked for was taken, or refused."""

    limit: int
    remaining: int
    reset_s: float  # until it is full again

    @classmethod
    def of(cls, limit: int, level: float) -> "Level":
        """level : what is in the bucket, which may be less than nothing."""
        return cls(limit=limit, remaining=max(0, math.floor(level)), reset_s=max(0.0, (limit - level) * 60 / limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of asking.

    refused : what there was not enough of; nothing was taken of anything then.   by : whose limit.
    wait_s : until it may be asked again; None: never, a minute's worth is not enough.
    levels : of each meter, the one that is nearest to its end.
    """

    refused: Meter | None = None
    by: RateLimit | None = None
    wait_s: float | None = 0.0
    levels: Mapping[str, Level] = field(default_factory=dict)


class Rates(Protocol):
    """Where buckets and tickets are kept."""

    async def take(self, limits: Sequence[RateLimit], tokens: int, ticket: str, lease_s: float) -> Verdict:
        """Take one request and so many tokens of every limit, or nothing of any.

        ticket : names this request.   lease_s : after that it counts as ended. Raises RatesUnavailable.
        """
        ...

    def give_back(self, limits: Sequence[RateLimit], tokens: int, ticket: str) -> None:
        """The request has ended; it took so many tokens fewer than was thought (or more: negative). Never blocks."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held."""
        ...


class RatesUnavailable(RequestError):
    """Where rates are kept does not answer, and the configuration says to refuse then."""

    status, type, code = 503, "server_error", "rate_limits_unavailable"


class RateLimited(RequestError):
    """More was asked for than a limit allows."""

    status, type, code = 429, "requests", "rate_limit_exceeded"

    def __init__(self, verdict: Verdict) -> None:
        assert verdict.by is not None  # noqa: S101 - refused by somebody
        scope = verdict.by.scope
        allowed = {
            "requests": f"{verdict.by.requests_per_minute} requests a minute",
            "tokens": f"{verdict.by.tokens_per_minute} tokens a minute",
            "concurrent": f"{verdict.by.concurrent} requests at once",
        }[verdict.refused or "requests"]
        if verdict.wait_s is None:
            headers = {"x-should-retry": "false"}
            said = f"The {scope.level} may use {allowed}, and this request alone may need more; lower max_tokens."
        else:
            headers = {
                "retry-after": str(max(1, math.ceil(verdict.wait_s))),
                "retry-after-ms": str(max(1, math.ceil(verdict.wait_s * 1000))),
            }
            said = f"The {scope.level} may have {allowed}; try again in {span(verdict.wait_s)}."
        super().__init__(said, headers=headers | rate_headers(verdict))
        self.type = verdict.refused or "requests"


def rate_headers(verdict: Verdict) -> dict[str, str]:
    """As OpenAI tells them."""
    headers = {}
    for meter, level in verdict.levels.items():
        headers[f"x-ratelimit-limit-{meter}"] = str(level.limit)
        headers[f"x-ratelimit-remaining-{meter}"] = str(level.remaining)
        headers[f"x-ratelimit-reset-{meter}"] = span(level.reset_s)
    return headers


def span(seconds: float) -> str:
    """A span of time as OpenAI writes it.

    >>> span(0.0123), span(1.5), span(361)
    ('13ms', '1.5s', '6m1s')
    """
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 10) / 10:g}s"
    return f"{math.ceil(seconds) // 60}m{math.ceil(seconds) % 60}s"


def tightest(levels: Sequence[tuple[str, Level]]) -> dict[str, Level]:
    """Of each meter the level that is nearest to its end."""
    found: dict[str, Level] = {}
    for meter, level in levels:
        if meter not in found or level.remaining < found[meter].remaining:
            found[meter] = level
    return found

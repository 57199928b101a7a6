"""Rates kept in this process: exact for one process, and each process' own where there are several.

Knows arithmetic and a clock.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.rates.rates import Level, Meter, Verdict, tightest
from gateway.tenancy.scope import RateLimit, Scope

_MOST = 100_000  # scopes remembered; the longest unused is forgotten, which fills its buckets


@dataclass(slots=True)
class _Kept:
    """One scope's buckets (None: full) and tickets."""

    levels: dict[Meter, float] = field(default_factory=dict)
    at: float = 0.0
    tickets: dict[str, float] = field(default_factory=dict)


class MemoryRates:
    """See ``gateway.rates.rates.Rates``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Scope, _Kept] = OrderedDict()

    async def take(self, limits: Sequence[RateLimit], tokens: int, ticket: str, lease_s: float) -> Verdict:
        now = self._clock()
        told: list[tuple[str, Level]] = []
        wanted: list[tuple[_Kept, Meter, float]] = []
        refusal: Verdict | None = None
        for limit in limits:
            kept = self._filled(limit, now)
            for meter, most, need in (
                ("requests", limit.requests_per_minute, 1),
                ("tokens", limit.tokens_per_minute, tokens),
            ):
                if most is None:
                    continue
                level = kept.levels[meter]  # type: ignore[index]  # filled for each that has a limit
                wanted.append((kept, meter, level - need))  # type: ignore[arg-type]  # a literal out of a tuple
                told.append((meter, Level.of(most, level if level < need else level - need)))
                if level < need and refusal is None:
                    wait_s = None if need > most else (need - level) * 60 / most
                    refusal = Verdict(refused=meter, by=limit, wait_s=wait_s)  # type: ignore[arg-type]  # as above
            if limit.concurrent is not None and len(kept.tickets) >= limit.concurrent:
                refusal = refusal or Verdict(refused="concurrent", by=limit, wait_s=1.0)
        if refusal is not None:
            return Verdict(refused=refusal.refused, by=refusal.by, wait_s=refusal.wait_s, levels=tightest(told))
        for kept, meter, level in wanted:
            kept.levels[meter] = level
        for limit in limits:
            if limit.concurrent is not None:
                self._kept[limit.scope].tickets[ticket] = now + lease_s
        return Verdict(levels=tightest(told))

    def give_back(self, limits: Sequence[RateLimit], tokens: int, ticket: str) -> None:
        for limit in limits:
            kept = self._kept.get(limit.scope)
            if kept is None:
                continue
            kept.tickets.pop(ticket, None)
            most = limit.tokens_per_minute
            if most is not None and "tokens" in kept.levels:
                kept.levels["tokens"] = max(-float(most), min(float(most), kept.levels["tokens"] + tokens))

    async def aclose(self) -> None:
        self._kept.clear()

    def _filled(self, limit: RateLimit, now: float) -> _Kept:
        kept = self._kept.get(limit.scope)
        if kept is None:
            kept = self._kept[limit.scope] = _Kept(at=now)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(limit.scope)
        most: tuple[tuple[Meter, int | None], ...] = (
            ("requests", limit.requests_per_minute),
            ("tokens", limit.tokens_per_minute),
        )
        for meter, full in most:
            if full is not None:
                kept.levels[meter] = min(full, kept.levels.get(meter, full) + max(0.0, now - kept.at) * full / 60)
        kept.at = max(kept.at, now)
        kept.tickets = {name: ends for name, ends in kept.tickets.items() if ends > now}
        return kept

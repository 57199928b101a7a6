"""Answers that need not be asked for: those of the cache, and those that another request is about to get.

Knows which request goes by which key, and when an answer is looked for and kept. The rules are the cache's.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import orjson

from gateway.cache.cache import Cache, CacheEntry
from gateway.cache.flights import Flight, Flights
from gateway.cache.rules import CacheScope, cache_key, why_not_keep, why_not_read, why_not_serve
from gateway.choice import Choice
from gateway.congestion import CONGESTION
from gateway.exchange import ChatRequest, Completion
from gateway.keys import Caller
from gateway.wishes import CacheWish


class Reuse:
    """cache : None where caching is off altogether.   secret : see ``gateway.cache.rules.cache_key``."""

    def __init__(self, cache: Cache | None, secret: bytes, flights: Flights) -> None:
        self._cache, self._secret, self._flights = cache, secret, flights

    def key(self, request: ChatRequest, caller: Caller, choice: Choice) -> str | None:
        """Under which its answer is kept; None if it is neither kept nor looked for."""
        if self._cache is None or why_not_read(request.body, choice.cache) is not None:
            return None
        scope = CacheScope(
            tenant_id=caller.tenant_id,
            endpoint=request.endpoint,
            policy=choice.policy,
            strategy_id=choice.strategy.id,
            scorer_version=choice.scorer.version if choice.scorer else None,
            served=choice.identity,
        )
        return cache_key(self._secret, scope, request.body)

    async def found(self, key: str, choice: Choice, wish: CacheWish) -> CacheEntry | None:
        """A kept answer that today's strategy would accept and the client wants."""
        entry = await self._cache.get(key) if self._cache is not None and wish.read else None
        if entry is None or (wish.max_age_s is not None and time.time() - entry.created_unix_s > wish.max_age_s):
            return None
        version = choice.scorer.version if choice.scorer else None
        return entry if why_not_serve(entry, choice.strategy.stages, version) is None else None

    @asynccontextmanager
    async def boarded(
        self, key: str | None, request: ChatRequest, choice: Choice, timeout_s: float
    ) -> AsyncGenerator[Flight]:
        """While a request of which there is no answer yet is answered: once no other one is about to be, its like.

        It takes no part where it would not take another one's answer, or its own may be nobody else's.
        """
        wish = request.wishes.cache
        fresh = wish.max_age_s is not None and wish.max_age_s <= 0
        if key is None or wish.only or fresh or not wish.read or not _may_keep(request, choice):
            yield Flight()
            return
        async with self._flights.boarded(key, timeout_s / 2) as flight:
            yield flight

    async def keep(self, key: str, request: ChatRequest, choice: Choice, completion: Completion) -> None:
        """Keep an answer, if it may be."""
        decision = completion.decision
        if self._cache is None or not _may_keep(request, choice):
            return
        if why_not_keep(completion.body, decision.stop_reason or "") is not None:
            return
        try:
            body = orjson.dumps(completion.body)
        except TypeError:  # half a surrogate pair and the like, which could not be read back
            return
        entry = CacheEntry(
            body=body,
            model=decision.model,
            usage=completion.usage,
            score=decision.score,
            scorer_version=choice.scorer.version if choice.scorer else None,
            strategy_id=choice.strategy.id,
            cost_nanousd=decision.spent.nanousd if decision.spent else None,
            created_unix_s=time.time(),
        )
        await self._cache.put(key, entry)


def _may_keep(request: ChatRequest, choice: Choice) -> bool:
    """Whether the same request would get this answer at any time: one for want of money or room it would not."""
    makeshift = {"max_cost", CONGESTION, *(() if choice.strategy.plan is None else ("pressure",))}
    return request.wishes.cache.keep and makeshift.isdisjoint(choice.altered)

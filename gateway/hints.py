"""What replicas tell each other of upstreams that fail: where a breaker opened, the others' doubt for its pause.

A hint is a hint: who hears it lets the next call decide, and believes it neither against a success of its own a moment
ago, nor twice, nor more than once in a while. So the worst that an odd or hostile one does is to make a call a probe.
Knows Redis and breakers.
"""

import asyncio
import hashlib
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis

from gateway.background import in_background
from gateway.config.identity import model_identity
from gateway.offer import Offer
from gateway.redis_link import RedisAway, RedisLink
from router.backends.breaker import Breaker

LOOK_EVERY_S = 0.5
_REST_S = 5.0  # a deployment is doubted on others' word once in so long
_HINT = re.compile(rb"1 [0-9a-f]{32}")
_LONGEST = 63  # bytes that are read of whatever stands there
_log = logging.getLogger("spillway.hints")


class BreakerHints(Collector):
    """offer : what is served at the moment."""

    def __init__(
        self, link: RedisLink, offer: Callable[[], Offer], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link, self._offer, self._clock = link, offer, clock
        self._told: WeakKeyDictionary[Breaker, int] = WeakKeyDictionary()  # how many openings were told
        self._own: dict[str, bytes] = {}
        self._placed: tuple[Offer, Mapping[str, Breaker]] | None = None  # of what was served at the last look, by hash
        self._taken: dict[str, tuple[bytes, float]] = {}  # the last hint that was believed, and when
        self.taken = self.given = 0  # for metrics

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While it is told and heard."""
        async with in_background(self._run(), "hints"):
            yield

    async def look(self) -> None:
        """Tell of breakers that opened, and hear of others'. Raises RedisAway."""
        places = dict(self._places())
        opened = {name: breaker for name, breaker in places.items() if breaker.openings > self._told.get(breaker, 0)}
        fresh = {name: b"1 " + uuid.uuid4().hex.encode() for name in opened}

        lasting = {name: max(1, round(breaker.wait_s * 1000)) for name, breaker in opened.items() if breaker.wait_s > 0}

        async def ask(redis: Redis) -> list[Any]:
            pipeline = redis.pipeline(transaction=False)
            for name, pause_ms in lasting.items():
                pipeline.set(name, fresh[name], px=pause_ms)
            for name in places:
                pipeline.getrange(name, 0, _LONGEST)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers

        answers = await self._link.ask(ask)
        refused = {name for name, answer in zip(lasting, answers, strict=False) if isinstance(answer, Exception)}
        for name, breaker in opened.items():
            if name not in refused:  # as where Redis is full: told at the next look, while it matters
                self._told[breaker], self._own[name] = breaker.openings, fresh[name]
                self.given += 1
        found = answers[len(lasting) :]
        for (name, breaker), value in zip(places.items(), found, strict=True):
            if isinstance(value, bytes) and _HINT.fullmatch(value) and value != self._own.get(name):
                self._heard(name, breaker, value)

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        said = "Breakers that opened here and of which others were told, and hints of others that were believed here"
        hints = CounterMetricFamily("spillway_breaker_hints", said, labels=("direction",))
        hints.add_metric(("given",), self.given)
        hints.add_metric(("taken",), self.taken)
        yield hints

    def _heard(self, name: str, breaker: Breaker, value: bytes) -> None:
        last, at = self._taken.get(name, (b"", -_REST_S))
        now = self._clock()
        if value != last and now - at >= _REST_S and breaker.hint():
            self._taken[name] = (value, now)
            self.taken += 1

    def _places(self) -> Iterator[tuple[str, Breaker]]:
        offer = self._offer()
        if self._placed is None or self._placed[0] is not offer:
            self._placed = offer, dict(_hashed(offer))
        for digest, breaker in self._placed[1].items():
            yield self._link.name("breaker", digest), breaker

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except RedisAway:
                continue  # each goes by what it sees itself
            except Exception:  # noqa: BLE001 - the next look may do better
                _log.exception("hints could not be exchanged")


def _hashed(offer: Offer) -> Iterator[tuple[str, Breaker]]:
    """By what tells a deployment from all others, wherever it is configured."""
    for model in offer.settings.models:
        pool = offer.pools.get(model.name)
        identity = model_identity(offer.settings, model)
        for one in () if pool is None else pool.deployments:
            digest = hashlib.sha256(f"{identity}\n{one.name}".encode()).hexdigest()
            yield digest[:32], one.breaker

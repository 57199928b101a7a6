"""Everything that belongs to organisations, teams and keys, put together for the composition root.

Knows what is made of what, and in which order it begins and ends. Knows how nothing works.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager

from fastapi import APIRouter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.admin.office import Office
from gateway.admin.treasury import Treasury
from gateway.admission import Gate
from gateway.budgets.alerts import AlertStore, Herald, Post
from gateway.budgets.counters import BudgetCounters
from gateway.budgets.store import BudgetStore
from gateway.config.settings import AlertSettings, RedisSettings, Settings
from gateway.database import Database
from gateway.keys import KeyStore
from gateway.rates.limiter import RateLimiter
from gateway.rates.rates import Rates
from gateway.routes.admin import AdminAuth, admin_router
from gateway.routes.admin_budgets import budgets_router
from gateway.routes.spend import spend_router
from gateway.tenancy.directory import Directory
from router.egress import Egress

_LEASE_BEYOND_S = 60.0  # a request's turn is held so much longer than any request may last


class Tenants:
    """keys : None where the gateway asks nobody for a key."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.keys = keys = KeyStore(database) if settings.auth.required else None
        self._alerts = settings.alerts
        self._database = database
        shared = None if settings.redis is None else _shared(settings, settings.redis)
        self._limiter = RateLimiter(shared, when_down=settings.rate_limits.when_redis_is_down)
        self.counters = BudgetCounters(database)
        self.gate = Gate(self._limiter, self.counters)
        self.admin_auth = AdminAuth(None, keys)
        self.adopt(settings)
        office = Office(Directory(database), keys or KeyStore(database))
        treasury = Treasury(office, BudgetStore(database), AlertStore(database))
        self.metrics = _TenantMetrics(self._limiter, self.counters)
        self.router = APIRouter()
        self.router.include_router(admin_router(self.admin_auth, office))
        self.router.include_router(budgets_router(self.admin_auth, treasury))
        self.router.include_router(spend_router(self.admin_auth, database))

    def adopt(self, settings: Settings) -> None:
        """Keep what a changed configuration says of the operator's credential and of how long requests last."""
        token = settings.admin.token
        self.admin_auth.token = None if token is None else token.get_secret_value()
        self._limiter.lease_s = settings.server.request_timeout_s + _LEASE_BEYOND_S

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While alerts are told, and until rates are let go of."""
        telling: asyncio.Task[None] | None = None
        if self._alerts.url is not None and self._alerts.secret is not None:
            secret = self._alerts.secret.get_secret_value().encode()
            herald = Herald(AlertStore(self._database), _post_to(self._alerts), secret)
            telling = asyncio.create_task(herald.run())
        try:
            yield
        finally:
            if telling is not None:
                telling.cancel()
                await asyncio.wait({telling})
            await self._limiter.aclose()


class _TenantMetrics(Collector):
    """``spillway_rate_limited_total`` and so on: sums only, for a key is no label."""

    def __init__(self, limiter: RateLimiter, counters: BudgetCounters) -> None:
        self._limiter, self._counters = limiter, counters

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        limiter, counters = self._limiter, self._counters
        yield CounterMetricFamily("spillway_rate_limited", "Requests over a rate limit", value=limiter.refused)
        said = "Requests whose rates were not shared, Redis being away"
        yield CounterMetricFamily("spillway_rates_unshared", said, value=limiter.unshared)
        away = float(limiter.trouble is not None)
        yield GaugeMetricFamily("spillway_rates_redis_away", "Whether rates are not shared now", value=away)
        yield CounterMetricFamily(
            "spillway_budget_refusals", "Calls that a hard budget refused", value=counters.refused
        )
        said = "Settlements above what a budget had set aside for them"
        yield CounterMetricFamily("spillway_budget_overruns", said, value=counters.overruns)
        yield CounterMetricFamily("spillway_budget_alerts", "Budget thresholds reached", value=counters.alerts)


def _shared(settings: Settings, redis: RedisSettings) -> Rates:
    try:
        from gateway.rates.redis import RedisRates  # noqa: PLC0415 - an extra, for those who have a Redis

        return RedisRates(redis.url.get_secret_value(), timeout_s=redis.timeout_s, prefix=redis.prefix)
    except ImportError:
        raise settings.refuse(("redis",), "needs the package redis: pip install 'spillway[redis]'") from None
    except ValueError as error:
        raise settings.refuse(("redis", "url"), f"is no URL of a Redis: {error}") from None


def _post_to(settings: AlertSettings) -> Post:
    egress = Egress(settings.allowed_networks)

    async def post(body: bytes, headers: Mapping[str, str]) -> int:
        status, _ = await egress.post_json(str(settings.url), body, timeout_s=settings.timeout_s, headers=headers)
        return status

    return post

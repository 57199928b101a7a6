"""The composition root: the one place where everything is put together, started and stopped.

Knows what is made of what and in which order it begins and ends. Knows how nothing works.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.auth import Authenticator
from gateway.cache.memory import MemoryCache
from gateway.completion import Completions
from gateway.config.models import output_limits, pools_of, providers
from gateway.config.prices import price_book
from gateway.config.settings import Settings
from gateway.dashboard.session import Sessions
from gateway.database import Database
from gateway.errors import InvalidRequest, MethodNotAllowed, NotFound, RequestError, Unavailable
from gateway.idempotency.once import Once, OnceRules
from gateway.idempotency.store import OnceStore
from gateway.ledger.billing_rules import BillingRule
from gateway.ledger.overview import Overview
from gateway.ledger.refuge import SpoolPlace
from gateway.ledger.reports import Reports
from gateway.ledger.rollups.keeper import RollupKeeper
from gateway.ledger.writer import LedgerWriter
from gateway.ledger_metrics import LedgerMetrics
from gateway.policies import load_policies
from gateway.routes.api import add_api
from gateway.routes.dashboard import dashboard_router
from gateway.routes.decisions import decisions_router
from gateway.routes.endpoint import completion_routes
from gateway.routes.health import health_router
from gateway.routes.observed import Observed
from gateway.routes.refusals import error_response
from gateway.runtime_metrics import RuntimeMetrics
from gateway.telemetry import Telemetry
from gateway.tenants import Tenants
from router.backends.pool import Pool
from router.cascade import AnswerScorer, Cascade
from scorer.scoring import Scorer

_NOT_SERVING = "starting or stopping"
_log = logging.getLogger("spillway")


def create_app(settings: Settings, *, load_scorer: Callable[[Path], AnswerScorer] = Scorer.load) -> FastAPI:
    """The gateway as an ASGI application. Its lifespan opens the database, the ledger and the cache, and closes them.

    load_scorer : makes a scorer of an artifact's folder.
    Raises ConfigError where strategies, scorers, prices or logs do not fit the configuration.
    """
    policies = load_policies(settings, load_scorer)
    pools = pools_of(settings)
    database = Database(settings.database_url)
    tenants = Tenants(settings, database)
    ledger = _ledger(settings, database, tenants)
    telemetry = _telemetry(ledger, tenants, lambda: pools)
    authenticator = Authenticator(tenants.keys)
    sessions = Sessions(lambda: database.installation_secret("dashboard"))
    serving: list[Completions] = []  # empty until the lifespan has begun and after it has ended

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.dispose)
            for pool in pools.values():
                stack.push_async_callback(pool.aclose)
            await (database.migrate() if settings.database.migrate_at_start else database.await_schema())
            secret = await database.installation_secret("cache")
            await stack.enter_async_context(tenants.running())
            await ledger.start()
            stack.push_async_callback(ledger.stop)
            await stack.enter_async_context(RollupKeeper(database, settings.ledger.rollup_every_s).running())
            completions = Completions(
                policies=policies,
                cascade=Cascade(pools),
                ledger=ledger,
                gate=tenants.gate,
                cache=_cache(settings),
                cache_secret=secret,
                telemetry=telemetry,
                timeout_s=settings.server.request_timeout_s,
                once=await stack.enter_async_context(_once(settings, database)),
            )
            serving.append(completions)
            stack.callback(serving.clear)
            _log.info("ready", extra={"fields": {"models": policies.names}})
            yield

    def at_work() -> Completions:
        if not serving:
            raise Unavailable("The gateway is starting or stopping.", headers={"retry-after": "1"})
        return serving[0]

    app = FastAPI(title="Spillway", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.router.routes.extend(completion_routes(at_work, authenticator, settings.server))
    add_api(app, policies, authenticator, settings.server)
    app.include_router(decisions_router(Reports(database), ledger.flush, authenticator, policies.certificates))
    app.include_router(tenants.router)
    app.include_router(dashboard_router(Overview(database), Reports(database), tenants.keys, sessions))
    app.include_router(health_router(database, telemetry, lambda: ledger.trouble if serving else _NOT_SERVING))
    app.add_middleware(Observed, telemetry=telemetry, access_log=settings.server.access_log)
    _add_error_handlers(app)
    return app


def _ledger(settings: Settings, database: Database, tenants: Tenants) -> LedgerWriter:
    place = None
    if settings.ledger.spool is not None:
        folder = settings.locate(settings.ledger.spool)
        place = SpoolPlace(folder=folder, most_bytes=settings.ledger.spool_max_bytes)
    return LedgerWriter(
        database,
        price_book(settings),
        output_limits=output_limits(settings),
        providers=providers(settings),
        rules={
            provider: BillingRule(hung_up=rule.hung_up, server_error=rule.server_error)
            for provider, rule in settings.ledger.billing.items()
        },
        spool=place,
        reservations=tenants.counters,
    )


def _telemetry(ledger: LedgerWriter, tenants: Tenants, pools: Callable[[], Mapping[str, Pool]]) -> Telemetry:
    telemetry = Telemetry()
    telemetry.register(RuntimeMetrics(pools))
    telemetry.register(LedgerMetrics(ledger))
    telemetry.register(tenants.metrics)
    return telemetry


@asynccontextmanager
async def _once(settings: Settings, database: Database) -> AsyncGenerator[Once]:
    server, told = settings.server, settings.idempotency
    lease_s = server.request_timeout_s + server.drain_s
    rules = OnceRules(ttl_s=told.ttl_s, most_bytes=told.max_bytes, lease_s=lease_s)
    once = Once(OnceStore(database), await database.installation_secret("idempotency"), rules)
    async with once.running():
        yield once


def _cache(settings: Settings) -> MemoryCache | None:
    if not settings.cache.enabled:
        return None
    return MemoryCache(
        max_entries=settings.cache.max_entries, max_bytes=settings.cache.max_bytes, ttl_s=settings.cache.ttl_s
    )


def _add_error_handlers(app: FastAPI) -> None:
    def answering(named: Callable[[Request, Exception], RequestError]) -> Callable[..., Awaitable[Response]]:
        async def handler(request: Request, error: Exception) -> Response:
            return error_response(named(request, error), request.scope)

        return handler

    app.add_exception_handler(RequestError, answering(lambda _request, error: _own(error)))
    app.add_exception_handler(RequestValidationError, answering(lambda _request, error: _invalid(error)))
    app.add_exception_handler(HTTPException, answering(_unserved))


def _own(error: Exception) -> RequestError:
    assert isinstance(error, RequestError)  # noqa: S101 (registered for these only)
    return error


def _invalid(error: Exception) -> RequestError:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": ("",), "msg": "is wrong"}
    param = str(first["loc"][-1])
    return InvalidRequest(f"{param}: {first['msg']}.", param=param, code="invalid_parameter")


def _unserved(request: Request, error: Exception) -> RequestError:
    if isinstance(error, HTTPException) and error.status_code == 405:
        said = f"{request.method} is not served on {request.url.path}."
        return MethodNotAllowed(said, headers=error.headers)
    return NotFound(f"There is no {request.method} {request.url.path} here.", code="unknown_url")

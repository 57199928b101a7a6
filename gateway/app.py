"""The composition root: the one place where everything is put together, started and stopped.

Knows what is made of what and in which order it begins and ends. Knows how nothing works.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.agreement import Agreement, AgreementMetrics
from gateway.auth import Authenticator
from gateway.budgets.store import BudgetStore
from gateway.canaries.store import CanaryStore
from gateway.canaries.watch import CanaryWatch
from gateway.completion import Completions, Held
from gateway.config.check import load_settings
from gateway.config.contents import Contents
from gateway.config.prices import gpu_bills
from gateway.config.settings import Settings
from gateway.conversations import Conversations
from gateway.dashboard.facts import facts_of
from gateway.dashboard.session import Sessions
from gateway.database import Database
from gateway.errors import InvalidRequest, MethodNotAllowed, NotFound, RequestError
from gateway.experts.keeper import ProbeKeeper
from gateway.experts.prober import Prober
from gateway.experts.store import ProbeStore
from gateway.experts.watch import LoadWatch
from gateway.idempotency.once import Once, OnceRules
from gateway.idempotency.store import OnceStore
from gateway.ledger.idle import IdleBooks
from gateway.ledger.refuge import SpoolPlace
from gateway.ledger.reports import Reports
from gateway.ledger.retention.keeper import RetentionKeeper
from gateway.ledger.retention.retention import Ages
from gateway.ledger.rollups.keeper import RollupKeeper
from gateway.ledger.writer import LedgerWriter
from gateway.ledger_metrics import LedgerMetrics
from gateway.observing import tracing_of
from gateway.offer import Offer, load_offer
from gateway.reload import ConfigMetrics, Reloading
from gateway.replicas import Replicas
from gateway.reuse import Reuse
from gateway.routes.api import add_api
from gateway.routes.config import config_router
from gateway.routes.dashboard import dashboard_router
from gateway.routes.decisions import decisions_router
from gateway.routes.endpoint import completion_routes
from gateway.routes.health import health_router, metrics_router
from gateway.routes.observed import Observed
from gateway.routes.refusals import error_response
from gateway.runtime_metrics import RuntimeMetrics
from gateway.serving import Serving
from gateway.shadowing import Shadowing
from gateway.telemetry.metrics import Telemetry
from gateway.telemetry.tracing import current_id
from gateway.tenants import Tenants
from gateway.transcripts.keeper import TranscriptKeeper, TranscriptRules
from router.cascade import Cascade
from router.draining import Drainage
from router.judging import AnswerScorer
from router.pricing import PriceBook
from scorer.scoring import Scorer

_NOT_SERVING = "starting or stopping"
_log = logging.getLogger("spillway")


class Gateway:
    """Everything, put together.

    app : the ASGI application. Its lifespan opens the database, the ledger and the cache, and closes them.
    admin_app : what is served on the admin port, None where there is none. It lives as long as ``app`` does.
    reloading : changes the configuration of what is served.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reread: Callable[[], Settings] | None = None,
        load_scorer: Callable[[Path], AnswerScorer] = Scorer.load,
    ) -> None:
        """reread : the settings as their file has them later, default: with nothing in place of what it says.

        load_scorer : makes a scorer of an artifact's folder.
        Raises ConfigError where strategies, scorers, prices or logs do not fit the configuration.
        """
        self._settings, self._database = settings, Database(settings.database_url)
        self._conversations = Conversations()
        self._lacking: dict[str, frozenset[str]] = {}
        self._canaries = CanaryWatch(CanaryStore(self._database), {})
        contents = Contents(settings.path)
        seen = contents.look()
        first = load_offer(settings, load_scorer, lacking=self._lacking, tried=self._canaries.tried)
        self._serving = Serving(first)
        self._tenants, self._replicas = (
            Tenants(settings, self._database),
            Replicas(settings, lambda: self._serving.offer),
        )
        self._ledger = _ledger(settings, self._database, self._tenants)
        self._tracing = tracing_of(settings, lambda: self._serving.offer.settings)
        self._telemetry = Telemetry(models=settings.telemetry.max_models, trace_id=current_id)
        self._leaving = False
        self._once: Once | None = None  # until the lifespan begins
        self._probes: ProbeKeeper | None = None
        self._transcripts = TranscriptKeeper(self._database, self._transcript_rules)
        self._shadowing = Shadowing(BudgetStore(self._database), self._telemetry)
        self._drainage = Drainage(most_s=settings.ledger.drain_s, most=settings.ledger.drain_most)
        self.reloading = Reloading(
            self._serving,
            reread or partial(load_settings, settings.path),
            lambda settings, before: load_offer(settings, load_scorer, before, self._lacking, self._canaries.tried),
            self._adopt,
            contents,
            seen,
        )
        self._agreement = Agreement(
            self.reloading,
            self._replicas.board(),
            lambda: self._serving.offer.settings.reload.watch_s,
            lambda: {policy: [one.strategy.id, one.share] for policy, one in self._canaries.tried.items()},
        )
        for collector in (
            RuntimeMetrics(lambda: self._serving.offer.pools, self._serving.door),
            LedgerMetrics(self._ledger),
            self._tenants.metrics,
            ConfigMetrics(self.reloading, self._serving),
            AgreementMetrics(self._agreement),
            self._transcripts,
            *self._replicas.collectors,
        ):
            self._telemetry.register(collector)
        self.app = self._public()
        self.admin_app = self._private() if settings.admin.port is not None else None

    def _public(self) -> FastAPI:
        database, ledger, serving = self._database, self._ledger, self._serving
        authenticator = Authenticator(self._tenants.keys)
        sessions = Sessions(lambda: database.installation_secret("dashboard"))
        app = FastAPI(title="Spillway", lifespan=self._life, docs_url=None, redoc_url=None, redirect_slashes=False)
        app.router.routes.extend(completion_routes(serving, authenticator))
        add_api(app, serving, authenticator)
        reports = Reports(database)
        app.include_router(
            decisions_router(reports, ledger.flush, authenticator, lambda: serving.offer.policies.certificates)
        )
        app.include_router(
            dashboard_router(
                database,
                self._tenants.keys,
                sessions,
                lambda: facts_of(serving.offer),
                operator=self._operator,
                changed=self._canaries.refresh,
            )
        )
        if self._settings.admin.port is None:
            self._add_management(app)
        return self._finished(app)

    def _operator(self) -> str | None:
        """The operator's token, where it may be used on the public port."""
        return self._tenants.admin_auth.token if self._settings.admin.port is None else None

    def _private(self) -> FastAPI:
        app = FastAPI(title="Spillway's operation", openapi_url=None, redirect_slashes=False)
        self._add_management(app)
        return self._finished(app)

    def _add_management(self, app: FastAPI) -> None:
        app.include_router(self._tenants.router)
        app.include_router(config_router(self._tenants.admin_auth, self.reloading, self._agreement))
        app.include_router(metrics_router(self._telemetry))

    def _finished(self, app: FastAPI) -> FastAPI:
        app.include_router(
            health_router(self._database, self._why_not_ready, spools=self._settings.ledger.spool is not None)
        )
        app.add_middleware(
            Observed,
            telemetry=self._telemetry,
            access_log=self._settings.server.access_log,
            tracing=self._tracing,
        )
        _add_error_handlers(app)
        return app

    @asynccontextmanager
    async def _life(self, _app: FastAPI) -> AsyncGenerator[None]:
        database, tenants, ledger = self._database, self._tenants, self._ledger
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.dispose)
            if self._tracing is not None:
                stack.push_async_callback(self._tracing.aclose)
            await (database.migrate() if self._settings.database.migrate_at_start else database.await_schema())
            secret = await database.installation_secret("cache")
            await stack.enter_async_context(self._replicas.running())
            await stack.enter_async_context(tenants.running())
            await ledger.start()
            stack.push_async_callback(ledger.stop)
            await stack.enter_async_context(RollupKeeper(database, self._settings.ledger.rollup_every_s).running())
            await stack.enter_async_context(self._transcripts.running())
            await stack.enter_async_context(RetentionKeeper(database, self._ages).running())
            idle = IdleBooks(database, lambda: gpu_bills(self._serving.offer.settings))
            await stack.enter_async_context(idle.running())
            probes = ProbeStore(database)
            self._probes = ProbeKeeper(probes, Prober(probes, ledger), lambda: self._serving.offer, self._lacking)
            await stack.enter_async_context(self._probes.running())
            await stack.enter_async_context(self._canaries.running())
            await stack.enter_async_context(LoadWatch(lambda: self._serving.offer).running())
            once = Once(OnceStore(database), await database.installation_secret("idempotency"), _once(self._settings))
            flights = self._replicas.flights()
            stack.push_async_callback(flights.aclose)
            reuse = Reuse(self._replicas.cache(secret), secret, flights)
            completions = partial(self._completions, reuse=reuse, secret=secret, once=once)
            await stack.enter_async_context(self._serving.opened(completions))
            stack.push_async_callback(self._drainage.aclose)
            stack.push_async_callback(self._shadowing.aclose)
            self._once = once
            await stack.enter_async_context(self._agreement.running(await database.installation_secret("config")))
            await stack.enter_async_context(once.running())  # ends before what its work is done with
            _log.info("ready", extra={"fields": {"models": self._serving.offer.policies.names}})
            yield

    def _ages(self) -> Ages:
        kept = self._serving.offer.settings.ledger.retention
        return Ages(details=kept.details_days, money=kept.money_days)

    def _transcript_rules(self) -> TranscriptRules:
        told = self._serving.offer.settings.transcripts
        return TranscriptRules(share=told.share, days=told.days, most_bytes=told.max_bytes)

    def _adopt(self, settings: Settings) -> None:
        self._tenants.adopt(settings)
        self._drainage.most_s, self._drainage.most = settings.ledger.drain_s, settings.ledger.drain_most
        if self._once is not None:
            self._once.rules = _once(settings)
        if self._probes is not None:
            self._probes.salt()

    def _completions(self, offer: Offer, held: Held, *, reuse: Reuse, secret: bytes, once: Once) -> Completions:
        return Completions(
            policies=offer.policies,
            pools=offer.pools,
            cascade=Cascade(
                offer.pools, drainage=self._drainage, drained=offer.tariff.drained, mixtures=offer.tariff.mixtures
            ),
            ledger=self._ledger,
            tariff=offer.tariff,
            gate=self._tenants.gate,
            reuse=reuse,
            cache_secret=secret,
            telemetry=self._telemetry,
            timeout_s=offer.settings.server.request_timeout_s,
            once=once,
            conversations=self._conversations,
            shadowing=self._shadowing,
            transcripts=self._transcripts,
            held=held,
        )

    def leave(self) -> None:
        """Be ready no more: this process was told to stop. Requests are served as before."""
        self._leaving = True

    def _why_not_ready(self) -> str | None:
        return self._ledger.trouble if self._serving.is_open and not self._leaving else _NOT_SERVING


def _ledger(settings: Settings, database: Database, tenants: Tenants) -> LedgerWriter:
    place = None
    if settings.ledger.spool is not None:
        folder = settings.locate(settings.ledger.spool)
        place = SpoolPlace(folder=folder, most_bytes=settings.ledger.spool_max_bytes)
    return LedgerWriter(
        database,
        PriceBook(),  # every request brings the tariff that holds for it
        spool=place,
        reservations=tenants.counters,
    )


def _once(settings: Settings) -> OnceRules:
    server, told = settings.server, settings.idempotency
    lease_s = server.request_timeout_s + server.drain_s
    return OnceRules(ttl_s=told.ttl_s, most_bytes=told.max_bytes, lease_s=lease_s)


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

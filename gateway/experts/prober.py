"""Probing the deployments of a configuration: what they say for nothing, and what they do when they are asked.

Each question is an attempt of kind ``probe`` in the ledger, under the organisation ``spillway``. Knows settings, the
ledger and where findings are kept. Knows no question.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.config.mixtures import caller_of
from gateway.config.models import specs_of
from gateway.config.settings import ModelSettings, Settings
from gateway.experts.store import Endpoint, ProbeStore
from gateway.ledger.entry import RequestRecord, RequestStatus
from gateway.ledger.request_log import RequestLog
from gateway.ledger.tariff import Tariff
from gateway.ledger.writer import LedgerWriter
from router.backends.build import BackendSpec, build
from router.experts.findings import Looks, Probed
from router.experts.looking import Looker
from router.experts.probing import Probing
from router.ids import new_id

OWN_TENANT = "spillway"
_TIMEOUT_S = 120.0  # of one question: a model may have to be loaded first


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One deployment that can be probed."""

    endpoint: Endpoint
    spec: BackendSpec
    looker: Looker

    async def look(self) -> Looks:
        """What it says of itself."""
        return await self.looker.look(self.spec.upstream_model or self.spec.model)


def is_probed(model: ModelSettings) -> bool:
    """Whether a model's deployments are probed unasked: where the configuration says so, or it is self-hosted."""
    able = model.backend == "openai_compatible" and model.serves == "chat"
    return able and (model.gpu_usd_per_hour is not None if model.probe is None else model.probe)


def sites_of(settings: Settings, model: ModelSettings) -> Iterator[Site]:
    """Every deployment of a model. None for one that is hosted by others or plays back logs."""
    if model.backend != "openai_compatible" or model.serves != "chat":
        return
    for name, spec in specs_of(settings, model).items():
        url = spec.base_url or ""
        headers = {**spec.extra_headers, **({"authorization": f"Bearer {spec.api_key}"} if spec.api_key else {})}
        yield Site(
            endpoint=Endpoint.at(caller_of(model), name, url, spec.upstream_model or model.name),
            spec=spec,
            looker=Looker(url, headers),
        )


class Prober:
    """Asks, and keeps what came of it."""

    def __init__(self, store: ProbeStore, ledger: LedgerWriter) -> None:
        self._store, self._ledger = store, ledger

    async def probe(self, site: Site, tariff: Tariff, looks: Looks) -> Probed:
        """Ask every question. Raises ProbeFailed, or what the ledger refuses with."""
        backend = build(site.spec)
        name = site.endpoint.deployment
        try:
            async with self._page(site, tariff) as log:
                probing = Probing(backend, log, deployment=name, timeout_s=min(_TIMEOUT_S, site.spec.timeout_s))
                findings = await probing.findings()
        finally:
            await backend.aclose()
        attempts = tuple(probing.attempts)
        report = Probed(model=site.spec.model, deployment=name, looks=looks, findings=findings, attempts=attempts)
        await self._store.keep(site.endpoint, report)
        return report

    @asynccontextmanager
    async def _page(self, site: Site, tariff: Tariff) -> AsyncGenerator[RequestLog]:
        record = RequestRecord(
            decision_id=new_id("dec"),
            created=datetime.now(UTC),
            tenant_id=OWN_TENANT,
            key_id=None,
            policy=None,
            requested_model=site.spec.model,
            endpoint="probe",
            streamed=False,
        )
        log = self._ledger.log_for(record, {"messages": []}, tariff=tariff)
        await self._ledger.open_request(record)
        status: RequestStatus = "failed"
        try:
            yield log
            status = "answered"
        finally:
            self._ledger.close_request(log.closing(status=status, cache_status="DISABLED"))

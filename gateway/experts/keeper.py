"""What models are known to lack, and which engines keep tenants' prompts apart if told to, kept true while a gateway
serves: read from all processes' probes, and probed anew where a self-hosted server has come, or looks otherwise than
when it was last probed.

Knows when to look. Knows no question and no table.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.background import in_background
from gateway.config.mixtures import caller_of
from gateway.database import DatabaseError, DatabaseUnavailable
from gateway.errors import RequestError
from gateway.experts.prober import Prober, is_probed, sites_of
from gateway.experts.store import Endpoint, ProbeStore
from gateway.offer import Offer
from router.backends.expressing import Expressing
from router.errors import ProbeFailed
from router.experts.findings import RELIED_ON, Looks

EVERY_S = 30.0
_SALTING = ("vllm",)  # SGLang and llama.cpp know no such field
_log = logging.getLogger("spillway.experts")


class ProbeKeeper:
    """lacking : by model, what one of its deployments was seen to do without. It stays the same object."""

    def __init__(
        self, store: ProbeStore, prober: Prober, offer: Callable[[], Offer], lacking: dict[str, frozenset[str]]
    ) -> None:
        self._store, self._prober, self._offer, self.lacking = store, prober, offer, lacking
        self._salting: frozenset[Endpoint] = frozenset()

    @asynccontextmanager
    async def running(self, every_s: float = EVERY_S) -> AsyncGenerator[None]:
        """Read what is known before the first request, then look round from time to time."""
        with suppress(DatabaseError, DatabaseUnavailable):  # it is read soon enough
            await self.refresh()
        async with in_background(self._run(every_s), "probes"):
            yield

    async def refresh(self) -> None:
        """Take over what any process has found out about the endpoints that are configured now."""
        sites = [site for model in self._offer().settings.models for site in sites_of(self._offer().settings, model)]
        kept = await self._store.newest([site.endpoint for site in sites])
        found: dict[str, frozenset[str]] = {}
        for each in kept:
            model = each.endpoint.model
            found[model] = found.get(model, frozenset()) | (each.report.lacks & RELIED_ON)
        for mixed in filter(lambda model: model.mixture is not None, self._offer().settings.models):
            found[mixed.name] = found.get(caller_of(mixed), frozenset())
        self._salting = frozenset(each.endpoint for each in kept if each.report.looks.engine in _SALTING)
        self.salt()
        self._tell(found)
        self.lacking.clear()
        self.lacking.update(found)

    def salt(self) -> None:
        """Have the deployments of what is offered now told what keeps prompts apart, where their engines know that."""
        offer = self._offer()
        for model in offer.settings.models:
            backends = {each.name: each.backend for each in offer.pools[model.name].deployments}
            for site in sites_of(offer.settings, model):
                backend = backends.get(site.endpoint.deployment)
                if isinstance(backend, Expressing):
                    backend.salted = model.cache_salt and site.endpoint in self._salting

    async def look_round(self) -> None:
        """Probe what has come or changed, as far as nobody else does."""
        offer = self._offer()
        models = filter(is_probed, offer.settings.models)
        sites = [site for model in models for site in sites_of(offer.settings, model)]
        kept = await self._store.newest([site.endpoint for site in sites])
        known = {each.endpoint: each.report.looks for each in kept}
        for site, looks in zip(sites, await asyncio.gather(*(site.look() for site in sites)), strict=True):
            if looks in (Looks(), known.get(site.endpoint)):
                continue  # nobody is there, or it is what it was
            if not await self._store.claim(site.endpoint, looks):
                await self._store.recall(site.endpoint, looks)
                continue
            name = f"{site.spec.model}, deployment {site.endpoint.deployment}"
            try:
                report = await self._prober.probe(site, offer.tariff, looks)
            except (ProbeFailed, RequestError) as error:
                _log.warning("%s could not be probed: %s", name, error)
            else:
                _log.info("%s was probed; it lacks: %s", name, ", ".join(sorted(report.lacks)) or "nothing")

    def _tell(self, found: Mapping[str, frozenset[str]]) -> None:
        for model, lacks in found.items():
            if lacks - self.lacking.get(model, frozenset()):
                _log.warning("%s lacks %s, and is not relied on for it", model, ", ".join(sorted(lacks)))

    async def _run(self, every_s: float) -> None:
        while True:
            try:
                await self.look_round()
                await self.refresh()
            except (DatabaseError, DatabaseUnavailable) as error:
                _log.info("what models lack is looked up later: %s", error)
            except Exception:  # noqa: BLE001 - one server's odd answer must not end the watch over the others
                _log.exception("looking at what models can do failed")
            await asyncio.sleep(every_s)

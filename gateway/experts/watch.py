"""Looking at how loaded self-hosted engines are, so that their pools are passed by before requests queue there.

Knows when to look, and whose load is whose. Knows no metric's name.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from gateway.background import in_background
from gateway.config.settings import ModelSettings
from gateway.experts.prober import Site, is_probed, sites_of
from gateway.offer import Offer
from router.backends.load import load_of
from router.backends.pool import Deployment, Pool

_TICK_S = 0.25
_log = logging.getLogger("spillway.experts")


class LoadWatch:
    """Watches the engines of what is offered at the moment."""

    def __init__(self, offer: Callable[[], Offer], clock: Callable[[], float] = time.monotonic) -> None:
        self._offer, self._clock = offer, clock
        self._due: dict[str, float] = {}  # by model
        self._silent: set[tuple[str, str]] = set()  # those of whom it has been said that they tell nothing

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While it is watched."""
        async with in_background(self._run(), "loads"):
            yield

    async def look(self) -> None:
        """Look at those whose time has come."""
        offer, now = self._offer(), self._clock()
        due = [model for model in offer.settings.models if is_probed(model) and self._due.get(model.name, 0.0) <= now]
        for model in due:
            self._due[model.name] = now + model.load.every_s
        await asyncio.gather(*(self._look_at(offer, model) for model in due))

    async def _look_at(self, offer: Offer, model: ModelSettings) -> None:
        pool = offer.pools[model.name]
        sites = {site.endpoint.deployment: site for site in sites_of(offer.settings, model)}
        pairs = [(one, sites[one.name]) for one in pool.deployments if one.name in sites]
        await asyncio.gather(*(self._measure(pool, one, site) for one, site in pairs))

    async def _measure(self, pool: Pool, deployment: Deployment, site: Site) -> None:
        told = await site.looker.metrics()
        load = None if told is None else load_of(told.decode("utf-8", "replace"), site.spec.upstream_model)
        place = (pool.model, deployment.name)
        if load is None and place not in self._silent:
            _log.info("%s, deployment %s, does not tell its load; its own calls are counted", *place)
            self._silent.add(place)
        elif load is not None:
            self._silent.discard(place)
        pool.measured(deployment, load)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - an engine's odd answer must not end the watch over the others
                _log.exception("looking at how loaded engines are failed")
            await asyncio.sleep(_TICK_S)

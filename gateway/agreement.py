"""That all replicas serve one configuration, and soon: each looks at its files, and tells the others what it serves.

A changed file is served once it has stood still for a moment, wherever it came from. Who is called by another replica
reads its files anew at once. Knows when to look, and what of what is served makes a difference. Loads nothing itself.
"""

import asyncio
import contextlib
import hmac
import importlib.metadata
import logging
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.background import in_background
from gateway.errors import ConfigError, GatewayError
from gateway.reload import Reloading

TELL_EVERY_S = 1.0
_SETTLED_S = 0.5
_log = logging.getLogger("spillway.config")


class Notices(Protocol):
    """What replicas tell, by name, and the last call to all of them."""

    @property
    def words(self) -> Mapping[str, str]: ...

    @property
    def call(self) -> str: ...


class Board(Protocol):
    """See ``gateway.noticeboard.Noticeboard``. Its methods raise a GatewayError where it is away."""

    async def tell(self, name: str, word: str) -> Notices: ...
    async def call(self, call: str) -> None: ...
    async def leave(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWord:
    """What one replica says of itself."""

    name: str
    hash: str
    loaded: str
    refused: bool
    version: str


class Agreement:
    """board : None where this process has no others.   every_s : between two looks at the files; None: none is taken.

    tried : what is served beside what the files say, by policy: it makes a difference as well.
    """

    def __init__(
        self,
        reloading: Reloading,
        board: Board | None,
        every_s: Callable[[], float | None],
        tried: Callable[[], Mapping[str, object]],
    ) -> None:
        self._reloading, self._board, self._every_s, self._tried = reloading, board, every_s, tried
        self.name = uuid.uuid4().hex[:12]
        self._secret = b""
        self._heard: str | None = None  # the last call; None: none was listened for yet
        self.replicas: tuple[ReplicaWord, ...] = ()

    @asynccontextmanager
    async def running(self, secret: bytes) -> AsyncGenerator[None]:
        """While it is watched over.   secret : so that what is told of a configuration lets nobody guess at it."""
        self._secret = secret
        async with in_background(self._watch(), "config"), in_background(self._talk(), "replicas"):
            yield
        if self._board is not None:
            with contextlib.suppress(GatewayError):
                await self._board.leave(self.name)

    @property
    def hash(self) -> str:
        """What tells the configuration that is served from others: settings, files, what is tried."""
        told = orjson.dumps([*self._reloading.served, sorted(self._tried().items())], default=str)
        return hmac.digest(self._secret, b"config\n" + told, "sha256").hex()[:16]

    @property
    def own(self) -> ReplicaWord:
        """What this one says of itself."""
        return ReplicaWord(
            name=self.name,
            hash=self.hash,
            loaded=self._reloading.loaded_at.isoformat(),
            refused=self._reloading.refused_at is not None,
            version=importlib.metadata.version("spillway"),
        )

    async def look(self) -> None:
        """Serve what the files say, if they say anything new and have said so for a moment."""
        reloading = self._reloading
        seen = await asyncio.to_thread(reloading.look)
        if seen == reloading.seen:
            return
        await asyncio.sleep(_SETTLED_S)
        if await asyncio.to_thread(reloading.look) == seen:
            await self._reload()

    async def call_all(self) -> None:
        """Have all others read their files anew, too. Raises GatewayError where they cannot be told."""
        if self._board is not None:
            heard, self._heard = self._heard, uuid.uuid4().hex
            try:
                await self._board.call(self._heard)
            except GatewayError:
                self._heard = heard
                raise

    async def tell(self) -> None:
        """Tell what is served, hear what the others serve, and do what is called for."""
        if self._board is None:
            self.replicas = (self.own,)
            return
        own, before = self.own, self._heard
        word = orjson.dumps([own.hash, own.loaded, own.refused, own.version]).decode()
        try:
            notices = await self._board.tell(self.name, word)
        except GatewayError:
            self.replicas = (own,)
            return
        words = (_word(name, told) for name, told in notices.words.items())
        self.replicas = tuple(sorted((one for one in words if one is not None), key=lambda one: one.name))
        if notices.call == self._heard or before != self._heard:  # it has been heard, or came from here meanwhile
            return
        if before is not None and not notices.call:  # it stood there for its time, or Redis lost it: nobody called
            return
        self._heard = notices.call
        if before is not None:
            await self._reload()
        elif notices.call:  # it may be older than what was loaded at the start
            await self.look()

    async def _reload(self) -> None:
        with contextlib.suppress(ConfigError):  # said already
            await self._reloading.reload()

    async def _watch(self) -> None:
        while True:
            every_s = self._every_s()
            await asyncio.sleep(every_s or TELL_EVERY_S)
            if every_s is None:
                continue
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the next look may do better
                _log.exception("the configuration's files could not be looked at")

    async def _talk(self) -> None:
        while True:
            try:
                await self.tell()
            except Exception:  # noqa: BLE001 - nor may this end
                _log.exception("replicas could not be told what is served here")
            await asyncio.sleep(TELL_EVERY_S)


class AgreementMetrics(Collector):
    """What is served here, and whether it is what all serve."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        agreement = self._agreement
        yield InfoMetricFamily("spillway_config", "The configuration that is served", value={"hash": agreement.hash})
        live = agreement.replicas
        yield GaugeMetricFamily("spillway_replicas", "Processes that told of themselves lately", value=len(live))
        said = "Configurations that they serve: 1 where all agree"
        yield GaugeMetricFamily("spillway_replica_configs", said, value=len({one.hash for one in live}))


def _word(name: str, told: str) -> ReplicaWord | None:
    """A replica's word; None where it is none."""
    try:
        fields: Any = orjson.loads(told)
    except orjson.JSONDecodeError:
        return None
    kinds = (str, str, bool, str)
    if not isinstance(fields, list) or list(map(type, fields)) != list(kinds):
        return None
    digest, loaded, refused, version = fields
    return ReplicaWord(name=name, hash=digest, loaded=loaded, refused=refused, version=version)

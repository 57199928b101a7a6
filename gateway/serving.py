"""What requests are served with, and the change from one configuration to the next under way.

A request goes to its end with what it began with. What nobody is served with any more is let go of.
Knows counts and whose pools are whose. Loads nothing and answers nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress

from gateway.completion import Completions, Held
from gateway.config.settings import ServerSettings
from gateway.doorway import DoorRules, Doorway
from gateway.errors import Unavailable
from gateway.offer import Offer
from gateway.screening import Screening
from router.egress import Egress

_LAST_WORDS_S = 5.0
_STARTING = "The gateway is starting or stopping."


Complete = Callable[[Offer, Held], Completions]


class Service:
    """One configuration at work. requests : what is under way that began with it."""

    def __init__(self, offer: Offer, complete: Complete, ended: Callable[["Service"], None]) -> None:
        server = offer.settings.server
        self.offer, self._ended, self.requests = offer, ended, 0
        self.screening = Screening(
            max_messages=server.max_messages,
            max_images=server.max_images,
            image_urls=server.image_urls,
            egress=Egress(),
        )
        self.door_rules = DoorRules(
            most=server.max_concurrency, queue=server.queue.most, patience_s=server.queue.patience_s
        )
        self.completions = complete(offer, self.held)

    @contextmanager
    def held(self) -> Iterator["Service"]:
        """While it is needed; answers that somebody will come back for are made without anybody's listening."""
        self.requests += 1
        try:
            yield self
        finally:
            self.requests -= 1
            self._ended(self)

    @property
    def settings(self) -> ServerSettings:
        """How requests are taken."""
        return self.offer.settings.server


class Serving:
    """The service of the moment, and those on their way out. first : what is offered before anything is served.

    door : the way in for requests, whichever service takes them.
    """

    def __init__(self, first: Offer) -> None:
        self.offer = first
        self.door = Doorway()
        self._complete: Complete | None = None
        self._now: Service | None = None
        self._used: set[Service] = set()  # the one of the moment, and those that a request still needs
        self._closing: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()  # set once nothing is served any more and the last request has ended

    @property
    def is_open(self) -> bool:
        """Whether requests are served."""
        return self._now is not None

    @property
    def in_use(self) -> int:
        """How many configurations requests are being served with: 1, and during a change those before it."""
        return len(self._used)

    @asynccontextmanager
    async def opened(self, complete: Complete) -> AsyncGenerator[None]:
        """While requests are served. complete : makes of an offer what answers them."""
        self._complete = complete
        self.change_to(self.offer)
        try:
            yield
        finally:
            self._now = self._complete = None
            with suppress(TimeoutError):  # those that were cut off have their ends to write down
                async with asyncio.timeout(_LAST_WORDS_S):
                    self._look_whether_empty()
                    await self._empty.wait()
            pools = {id(pool): pool for service in self._used for pool in service.offer.pools.values()}
            self._used.clear()
            await asyncio.gather(*self._closing, *(pool.aclose() for pool in pools.values()))

    def change_to(self, offer: Offer) -> None:
        """Serve this from the next request on. Raises Unavailable where nothing is served."""
        if self._complete is None:
            raise Unavailable(_STARTING, headers={"retry-after": "1"})
        before = self._now
        self._now = Service(offer, self._complete, self._let_go)
        self.offer = offer
        self._used.add(self._now)
        if before is not None:
            self._let_go(before)

    def request(self) -> AbstractContextManager[Service]:
        """What serves a request, while it is under way. Raises Unavailable."""
        if self._now is None:
            raise Unavailable(_STARTING, headers={"retry-after": "1"})
        return self._now.held()

    def _look_whether_empty(self) -> None:
        if self._now is None and not any(service.requests for service in self._used):
            self._empty.set()

    def _let_go(self, service: Service) -> None:
        """Close the pools that nobody else has, once the last request that began with them has ended."""
        self._look_whether_empty()
        if service is self._now or service.requests or service not in self._used or self._now is None:
            return
        self._used.discard(service)
        still = {id(pool) for other in self._used for pool in other.offer.pools.values()}
        for pool in service.offer.pools.values():
            if id(pool) not in still:
                closing = asyncio.create_task(pool.aclose())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

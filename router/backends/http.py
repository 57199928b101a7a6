"""One HTTP exchange with an upstream: JSON posted, bytes read within limits, every failure named.

Knows connections, deadlines and sizes. Knows nothing of what is asked and answered.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from router.backends.failures import redacted
from router.errors import BackendBroken, BackendError, BackendNonsense, BackendTimeout, BackendUnreachable

# Below the 5 s after which uvicorn, under most self-hosted engines, hangs up on an idle connection: a request sent into
# a connection that is just being closed looks as if it might have been billed.
_KEEPALIVE_S = 4.0
_DRAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long each phase of an exchange may take in seconds, and how large its answer may be.

    first_token_s, idle_s : until the answer says something, and between two things that it says, which whoever reads it
        tells with ``Exchange.heard``; None: the total only.
    """

    total_s: float
    connect_s: float
    first_token_s: float | None = None
    idle_s: float | None = None
    max_bytes: int = 32 * 1024 * 1024


class Exchange:
    """An answer that is being read. Close it in any case; closing it early hangs up on the upstream."""

    def __init__(self, model: str, response: aiohttp.ClientResponse, limits: Limits, started: float) -> None:
        self._model = model
        self._response = response
        self._limits = limits
        self._started = started
        self._read = 0
        self._began = False
        self._silent_s = 0.0  # spent waiting since something was said; a client that reads slowly is not the upstream's
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.content_type: str = response.content_type

    def heard(self) -> None:
        """Something was said just now. Comments and empty chunks say nothing, however many come."""
        self._began, self._silent_s = True, 0.0

    async def piece(self) -> bytes:
        """The next bytes, empty at the end. Raises BackendTimeout, BackendBroken, BackendNonsense (too large)."""
        now = time.monotonic()
        limits = self._limits
        ends = self._started + limits.total_s
        if not self._began and limits.first_token_s is not None:
            ends = min(ends, self._started + limits.first_token_s)
        elif self._began and limits.idle_s is not None:
            ends = min(ends, now + limits.idle_s - self._silent_s)
        try:
            if ends <= now:  # a timeout interrupts only a wait, and with bytes at hand there is none
                raise TimeoutError  # noqa: TRY301  the same ending as below
            async with asyncio.timeout(ends - now):
                piece: bytes = await self._response.content.readany()
        except TimeoutError as error:
            said = f"after {self._read} bytes" if self._read else "before the answer began"
            raise BackendTimeout(self._model, f"took too long: no more came in time, {said}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BackendBroken(self._model, f"the connection died after {self._read} bytes of the answer") from error
        self._silent_s += time.monotonic() - now
        self._read += len(piece)
        if self._read > limits.max_bytes:
            raise BackendNonsense(self._model, f"the answer is larger than {limits.max_bytes} bytes")
        return piece

    async def whole(self, at_most: int | None = None) -> bytes:
        """All that is left, or its first ``at_most`` bytes."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.piece():
            pieces.append(piece)
            size += len(piece)
            if at_most is not None and size >= at_most:
                break
        return b"".join(pieces)[:at_most]

    async def drain(self) -> None:
        """Read what little stands behind the answer's end, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                while await self._response.content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            return  # the answer is complete; this connection is then not used again

    def close(self) -> None:
        """Let go: back to the pool if the answer was read to its end, else the connection is closed."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class Upstream:
    """A pool of connections, opened with the first call. Bound to the event loop of that call."""

    def __init__(self, model: str, url: str, headers: Mapping[str, str], secrets: Sequence[str]) -> None:
        """secrets : what must not appear in any message."""
        self._model = model
        self._url = url
        # uncompressed, so that a small answer cannot unfold into a huge one
        self._headers = {**headers, "accept-encoding": "identity"}
        self.secrets = tuple(secrets)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def post(self, payload: bytes, headers: Mapping[str, str], limits: Limits) -> Exchange:
        """Send, and return with the answer's headers. Raises BackendError; the status is not judged here."""
        started = time.monotonic()
        waits = min(limits.total_s, limits.first_token_s or limits.total_s)
        try:
            async with asyncio.timeout(waits):
                response = await self._open_session().post(
                    self._url,
                    data=payload,
                    headers=headers,
                    allow_redirects=False,  # a redirect would carry the credential elsewhere
                    timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect_s),
                )
        except TimeoutError as error:
            # aiohttp's own errors of connecting too slowly are TimeoutErrors as well
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise BackendUnreachable(self._model, f"no connection within {limits.connect_s:.1f} s") from error
            raise BackendTimeout(self._model, f"no answer within {waits:.1f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._named(error) from error
        exchange = Exchange(self._model, response, limits, started)
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            exchange.close()
            raise BackendNonsense(self._model, f"the answer is compressed, unasked ({encoding:.20})")
        return exchange

    async def aclose(self) -> None:
        """Close the pool. Calls after it find the upstream unreachable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise BackendUnreachable(self._model, "this backend has been closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _named(self, error: Exception) -> BackendError:
        text = redacted(str(error) or type(error).__name__, self.secrets)
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
            return BackendUnreachable(self._model, text)
        if isinstance(error, aiohttp.ClientResponseError):
            return BackendNonsense(self._model, f"the answer is not HTTP: {text}")
        return BackendBroken(self._model, f"the connection died before the answer: {text}")

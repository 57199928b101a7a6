"""One more try, where nothing can have been billed and nothing has been passed on.

Knows errors and waits. Knows no transport: it stands before any backend.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from router.backends.backend import Backend, Call, Chunk, Reply
from router.errors import BackendError


class Retrying:
    """The backend it is given, asked a second time after an error that is retryable and cannot have been billed.

    timeout_s : for both tries and the wait between them; a call's own ``timeout_s`` may be shorter.
    longest_wait_s : an upstream that asks for a longer wait is not asked again: the error goes to the caller.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        timeout_s: float,
        longest_wait_s: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random_number: Callable[[], float] = random.random,
    ) -> None:
        self._backend = backend
        self._timeout_s = timeout_s
        self._longest_wait_s = longest_wait_s
        self._sleep = sleep
        self._random_number = random_number

    @property
    def model(self) -> str:
        return self._backend.model

    async def complete(self, call: Call) -> Reply:
        ends = self._ends(call)
        try:
            return await self._backend.complete(call)
        except BackendError as error:
            again = await self._once_more(call, error, ends)
        return await self._backend.complete(again)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        ends = self._ends(call)
        began = False
        try:
            async with aclosing(self._backend.stream(call)) as chunks:
                async for chunk in chunks:
                    began = True
                    yield chunk
        except BackendError as error:
            if began:
                raise
            again = await self._once_more(call, error, ends)
        else:
            return
        async with aclosing(self._backend.stream(again)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        await self._backend.aclose()

    def _ends(self, call: Call) -> float:
        own = self._timeout_s if call.timeout_s is None else min(self._timeout_s, call.timeout_s)
        return time.monotonic() + own

    async def _once_more(self, call: Call, error: BackendError, ends: float) -> Call:
        """The call with the time that is left, after the wait; or the error again, where a second try is no use."""
        if not error.retryable or error.may_be_billed:
            raise error
        # without a word from the upstream: a moment for it to recover, spread so that clients do not return as one
        wait_s = 0.2 + 0.3 * self._random_number() if error.retry_after_s is None else error.retry_after_s
        if wait_s > self._longest_wait_s or time.monotonic() + wait_s >= ends:
            raise error
        await self._sleep(wait_s)
        return replace(call, timeout_s=max(0.001, ends - time.monotonic()))

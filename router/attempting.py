"""One call that is an attempt from its opening to its closing, which happens exactly once, whatever else does.

For calls on the gateway's own behalf: they are not tried again, nobody is streamed to, and what is wrong is raised.
"""

import asyncio
from collections.abc import Awaitable, Callable

from router.backends.backend import Reply
from router.errors import BackendError
from router.trial import AttemptLog, Trial


async def attempted(log: AttemptLog, trial: Trial, call: Callable[[], Awaitable[Reply]]) -> Reply:
    """Reserve, call, settle. Raises what the log refuses with, when nothing is called, or the call's BackendError."""
    try:
        await log.open(trial.opening)
    except asyncio.CancelledError:  # it may be open
        log.close(trial.closed())
        raise
    try:
        trial.dispatched()
        reply = await call()
        trial.replied(reply)
        trial.state = "accepted"
    except BackendError as error:
        trial.failed(error)
        raise
    finally:
        log.close(trial.closed())
    return reply

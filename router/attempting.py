"""One call that is an attempt from its opening to its closing, which happens exactly once, whatever else does.

For calls on the gateway's own behalf: they are not tried again, nobody is streamed to, and what is wrong is raised.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from router.backends.backend import Reply
from router.errors import BackendBroken, BackendError
from router.trial import AttemptLog, Trial

_telemetry = logging.getLogger(__name__)


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
    except Exception as error:  # one backend's bug is one failed call, not a lost request
        _telemetry.exception("backend %s broke its promise", trial.opening.model)
        broken = BackendBroken(trial.opening.model, f"unexpected {type(error).__name__}")
        trial.failed(broken)
        raise broken from error
    finally:
        log.close(trial.closed())
    return reply

"""What a client is told when no model answered: a status, words without secrets, and whether to try again.

Knows the router's errors and the clients' retry conventions.
"""

import math
import re

from gateway.errors import InvalidRequest, NotFound, RequestError, TooManyAtOnce, UpstreamFailed
from router.errors import (
    BackendBusy,
    BackendError,
    BackendMissing,
    BackendRefused,
    BackendSaturated,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnavailable,
    BackendUnreachable,
    NotRecorded,
    QuorumMissed,
    VerificationFailed,
)
from router.outcome import Attempt, Outcome

_SECRET = re.compile(r"(?i)\b(sk-|pk-|rk-|key-|gsk_|AIza|xai-|hf_|Bearer\s+)[A-Za-z0-9_\-.*]{6,}")
_LONGEST = 600


def refusal(outcome: Outcome | None) -> RequestError:
    """The error of a request that nobody answered."""
    error = outcome.error if outcome is not None else None
    paid = outcome is not None and any(map(_may_be_billed, (*outcome.attempts, *outcome.proposals)))
    if isinstance(error, RequestError):  # the ledger would not have it
        error.headers |= _DO_NOT_RETRY if paid else {}
        return error
    if isinstance(error, VerificationFailed):
        said = "Every answer to this request failed a verifier of the policy, which returns none that did."
        return UpstreamFailed(said, status=502, code="failed_verification", headers=_DO_NOT_RETRY)
    if not isinstance(error, BackendError):
        return UpstreamFailed("No model answered.", status=502, code="upstream_failed", headers=_DO_NOT_RETRY)
    told = _told(error)
    told.headers |= _DO_NOT_RETRY if paid else {}
    return told


def without_secrets(text: str) -> str:
    """An upstream's words, shortened, without anything that looks like a credential."""
    shown = _SECRET.sub("[credential]", text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


_FAILED = {
    BackendUnreachable: ("cannot be reached", "upstream_unreachable"),
    QuorumMissed: ("had too few proposals to make an answer of", "quorum_missed"),
}
_DO_NOT_RETRY = {"x-should-retry": "false"}  # what failed may have been billed, and a retry would pay again


def _may_be_billed(attempt: Attempt) -> bool:
    if attempt.error is not None:
        return attempt.error.may_be_billed
    return attempt.reply is not None or attempt.state == "cancelled"


def _told(error: BackendError) -> RequestError:
    model = error.model
    if isinstance(error, NotRecorded):
        return NotFound(f"{model} plays back recorded answers and has none to this query.", code="not_recorded")
    if isinstance(error, BackendRefused):
        return InvalidRequest(
            f"{model} refused this request: {without_secrets(error.message)}", code="upstream_refused"
        )
    if isinstance(error, BackendUnauthorized):
        said = f"The provider of {model} does not accept this gateway's credential; its operator has to mend that."
        return UpstreamFailed(said, status=502, code="upstream_unauthorized", headers=_DO_NOT_RETRY)
    if isinstance(error, BackendMissing):
        said = f"{model} is not served where it is configured; its operator has to mend that."
        return UpstreamFailed(said, status=502, code="upstream_missing")
    if isinstance(error, BackendTimeout):
        return UpstreamFailed(f"{model} did not answer in time.", status=504, code="upstream_timeout")
    wait = {} if error.retry_after_s is None else {"retry-after": str(max(0, math.ceil(error.retry_after_s)))}
    if isinstance(error, BackendSaturated):
        return TooManyAtOnce(f"As many calls of {model} as are allowed at once are under way.", headers=wait)
    if isinstance(error, BackendUnavailable):
        said = f"{model} was not called: it failed too often, or asked to be left alone for a while."
        return UpstreamFailed(said, status=503, code="upstream_unavailable", headers=wait)
    if isinstance(error, BackendBusy):
        return UpstreamFailed(f"{model} is busy.", status=503, code="upstream_busy", headers=wait)
    words, code = _FAILED.get(type(error), ("failed to answer", "upstream_failed"))
    return UpstreamFailed(f"{model} {words}.", status=502, code=code)

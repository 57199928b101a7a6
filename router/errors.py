"""Every way in which choosing or calling can fail, in one tree."""


class RouterError(Exception):
    """Something about models, prices, strategies or calls is wrong."""


class PriceError(RouterError):
    """A price list cannot be read, or a price is needed and not known."""


class TokenizerError(RouterError):
    """A vocabulary that tokens are to be counted with is not at hand or cannot be read."""


class StrategyError(RouterError):
    """A strategy file cannot be read, or does not fit the models, scorer or data that it is used with."""


class ScoresMissing(StrategyError):
    """A partitioned log has not the scores that a strategy goes by."""


class CapacityError(RouterError):
    """What was asked about hosting a model cannot be answered: a field of its configuration or an option is wrong."""


class ClusterError(RouterError):
    """Work that was to be done on a Ray cluster cannot be: it is not there, or its workers die."""


class NotCertified(RouterError):
    """A promise cannot be certified: the data are too few for it, or do not bear it out. The message says what can."""


class BadBackendSpec(RouterError):
    """A backend's description lacks a field that its kind needs, or has one of a wrong shape."""

    def __init__(self, model: str, field: str, reason: str) -> None:
        super().__init__(f"model {model!r}, {field}: {reason}")
        self.model, self.field, self.reason = model, field, reason


class BrokenStream(RouterError):
    """A stream of events, or a chunk in it, is not what its format says."""


class EgressRefused(RouterError):
    """A URL that somebody else wrote leads where no call may go. The message says why, without the URL's path."""


class EgressFailed(RouterError):
    """A call to a URL that may be called brought no whole answer."""


class BackendError(RouterError):
    """A call to a model failed.

    status : what the upstream answered, None if it answered nothing.
    retryable : the same call may succeed if made again.
    may_be_billed : the upstream may charge for the failed call; the ledger then records it at an estimate.
    """

    retryable = False
    may_be_billed = False

    def __init__(
        self, model: str, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{model}: {message}")
        self.model, self.message, self.status, self.retry_after_s = model, message, status, retry_after_s


class BackendUnreachable(BackendError):
    """No connection could be made; nothing was sent."""

    retryable = True


class BackendTimeout(BackendError):
    """The upstream took the call and did not answer in time. It may bill what it generated."""

    may_be_billed = True


class BackendBusy(BackendError):
    """The upstream refused for load or rate (429, 503, 529)."""

    retryable = True


class BackendUnavailable(BackendError):
    """The model was not called: every deployment of it failed too often, or asked to be left alone for a while."""


class BackendSaturated(BackendError):
    """The model was not called: as many calls as are allowed are under way, and the queue is full or too slow."""


class BackendBroken(BackendError):
    """The upstream failed within (5xx), or the connection died before an answer was complete."""

    retryable = True
    may_be_billed = True


class BackendRefused(BackendError):
    """The upstream says that the request itself is wrong (4xx). Another try brings the same answer."""


class BackendMissing(BackendError):
    """The upstream has no such model, or no such API (404): another deployment may have it."""

    retryable = True


class BackendUnauthorized(BackendError):
    """The upstream does not accept the configured credential (401, 403). For the operator, not for the caller."""


class BackendNonsense(BackendError):
    """The upstream said 200 and sent something that is not an answer."""

    may_be_billed = True


class ProbeFailed(RouterError):
    """What an endpoint can do cannot be found out now: nobody is there, or lets us in, or has the time."""


class QuorumMissed(BackendError):
    """A mixture has too few proposals to make an answer of; its aggregator was not called."""


class NotRecorded(BackendError):
    """A recorded backend has no answer to this query."""


class VerifierError(RouterError):
    """A verifier cannot be made of what was configured."""


class VerificationFailed(RouterError):
    """Every answer that there is failed a verifier, and the policy returns none that did."""

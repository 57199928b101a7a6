"""A circuit breaker: whether a deployment is to be called, by how its last calls ended.

Closed, it lets every call through and counts. Too many failures among the recent ones open it; after a pause that grows
with every vain probe it is half open: one call goes through, and its ending closes or opens it again.
Hearing that others see failures makes it half open without a pause: the next ending, of whichever call, decides.
Knows endings and a clock. Knows no call, no error and no model.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]
_MOMENT_S = 1.0  # for so long a success of one's own outweighs what others say


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When it opens, and for how long.

    failures, share : opens on at least so many failures within ``window_s`` that are at least this share of its calls.
    pause_s, longest_pause_s : until the first probe; each vain probe doubles it, up to the longest.
    """

    failures: int = 5
    share: float = 0.5
    window_s: float = 30.0
    pause_s: float = 10.0
    longest_pause_s: float = 120.0


class Breaker:
    """One deployment's breaker.

    >>> breaker = Breaker(BreakerRules(failures=1))
    >>> breaker.failed(breaker.enter())
    >>> breaker.state, breaker.admits
    ('open', False)
    """

    def __init__(self, rules: BreakerRules, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules, self._clock = rules, clock
        self._recent: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened: float | None = None
        self._pause_s = rules.pause_s
        self._epoch = 0  # a call that began before the last change of state says nothing about the state after it
        self._probing = False
        self._hinted = False  # it was told to doubt, and has seen nothing itself yet
        self._last_success = -math.inf
        self.openings = 0  # by what it has seen itself

    @property
    def state(self) -> State:
        """As it is now."""
        if self._opened is None:
            return "closed"
        return "half_open" if self._clock() >= self._opened + self._pause_s else "open"

    @property
    def admits(self) -> bool:
        """Whether a call may be made now."""
        state = self.state
        return state == "closed" or (state == "half_open" and not self._probing)

    @property
    def wait_s(self) -> float:
        """Until the next probe may be made; 0 where a call may be made now."""
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self._pause_s - self._clock())

    def enter(self) -> int:
        """A call begins. What is returned is to be given back with its ending, exactly once."""
        if self._opened is not None:
            self._probing = True
            if not self._hinted:  # else calls under way say as much as the probe
                self._epoch += 1
        return self._epoch

    def hint(self) -> bool:
        """Others see failures there. Whether that is believed: not where a call has ended well a moment ago."""
        if self._opened is not None or self._clock() - self._last_success < _MOMENT_S:
            return False
        self._opened, self._hinted = -math.inf, True
        return True

    def succeeded(self, ticket: int) -> None:
        """The call ended well."""
        if ticket != self._epoch:
            return
        self._last_success = self._clock()
        if self._probing or self._hinted:
            self._close()
        else:
            self._note(failed=False)

    def failed(self, ticket: int) -> None:
        """The call failed in a way that speaks against the deployment."""
        if ticket != self._epoch:
            return
        if self._hinted:
            self._open()
            return
        if self._probing:
            self._pause_s = min(self._pause_s * 2, self._rules.longest_pause_s)
            self._open()
            return
        self._note(failed=True)
        enough = self._failures >= self._rules.failures
        if enough and self._failures >= self._rules.share * len(self._recent):
            self._open()

    def neither(self, ticket: int) -> None:
        """The call was given up, or failed for a reason that says nothing about the deployment."""
        if ticket == self._epoch and self._probing:  # the next call is the probe
            self._probing = False

    def _open(self) -> None:
        self._opened = self._clock()
        self._epoch += 1
        self._probing = self._hinted = False
        self.openings += 1
        self._recent.clear()
        self._failures = 0

    def _close(self) -> None:
        self._opened = None
        self._pause_s = self._rules.pause_s
        self._epoch += 1
        self._probing = self._hinted = False

    def _note(self, *, failed: bool) -> None:
        now = self._clock()
        self._recent.append((now, failed))
        self._failures += failed
        while self._recent and self._recent[0][0] < now - self._rules.window_s:
            self._failures -= self._recent.popleft()[1]

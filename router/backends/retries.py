"""Whether a call that failed is made again, and after which wait.

Never where it may have been billed, unless that was opted in to; never more often than a share of all calls, so that
retries do not finish off an upstream that is going down. Knows errors and numbers. Makes no call and waits for nothing.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from router.errors import BackendError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """most : further tries of one stage.   billed : also where the failed call may have been billed.
    first_wait_s : where the upstream names no wait; doubled with each try, and spread.
    longest_wait_s : where the upstream asks for a longer wait, the error goes to the caller instead.
    budget : retries for each call, on average; ``reserve`` of them may come at once."""

    most: int = 1
    billed: bool = False
    first_wait_s: float = 0.4
    longest_wait_s: float = 5.0
    budget: float = 0.2
    reserve: int = 10


class Retries:
    """The retries of one model's calls."""

    def __init__(self, rules: RetryRules, *, random_number: Callable[[], float] = random.random) -> None:
        self._rules, self._random_number = rules, random_number
        self._budget = float(rules.reserve)

    def called(self) -> None:
        """A first try was made, which earns a part of a retry."""
        self._budget = min(self._budget + self._rules.budget, float(self._rules.reserve))

    def wait_s(self, error: BackendError, retried: int, left_s: float | None, *, elsewhere: bool) -> float | None:
        """Seconds until the next try, which is thereby taken from the budget; None where there is to be none.

        retried : how often this stage has been retried already.   left_s : the request's remaining time, if limited.
        elsewhere : another deployment can take the call, so there is nothing to wait for.
        """
        rules = self._rules
        if retried >= rules.most or not error.retryable or (error.may_be_billed and not rules.billed):
            return None
        wait_s = 0.0 if elsewhere else self._pause_s(error, retried)
        if wait_s > rules.longest_wait_s or (left_s is not None and wait_s >= left_s) or self._budget < 1:
            return None
        self._budget -= 1
        return wait_s

    def _pause_s(self, error: BackendError, retried: int) -> float:
        if error.retry_after_s is not None:  # no earlier than asked for, and not all at the same moment
            return error.retry_after_s * (1 + 0.1 * self._random_number())
        return self._rules.first_wait_s * 2.0**retried * (0.5 + 0.5 * self._random_number())

"""A budget, how much of it is left, how hard it presses, and how it refuses.

Knows amounts and windows. Knows no table, no ledger and no HTTP but status and header names.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.budgets.windows import Period
from gateway.errors import InvalidRequest, RequestError
from gateway.tenancy.scope import Scope

PACE_FROM = 0.5
"""A paced budget presses on nobody before this share of it is used."""

_LATEST_PACE = 0.95  # so that what is left of it still rises smoothly
_SOON_S = 60  # clients wait so long by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a scope may spend in each window.

    hard : no call is made that could overrun it. A soft one is counted, shown and told of.
    paced : as it runs down, fewer requests escalate.
    alert_percents : when to tell, in percent of the amount.
    """

    budget_id: str
    scope: Scope
    period: Period
    amount_nanousd: int
    hard: bool
    paced: bool = False
    alert_percents: tuple[int, ...] = (50, 80, 100)


@dataclass(slots=True, kw_only=True)
class Standing:
    """A budget in one window: what is set aside for calls under way, and what was spent."""

    budget: Budget
    starts_us: int
    ends_us: int | None
    reserved_nanousd: int = 0
    settled_nanousd: int = 0
    unknown: int = 0  # settled calls whose price is not known: not a part of what was spent
    alerted_percent: int = 0

    @property
    def left_nanousd(self) -> int:
        """What can still be reserved; negative where a settlement was higher than its reservation."""
        return self.budget.amount_nanousd - self.reserved_nanousd - self.settled_nanousd

    def why_not(self, nanousd: int | None, *, priced: bool) -> RequestError | None:
        """Why a call of at most so much may not be made. A soft budget stands against nothing, and none against 0."""
        if not self.budget.hard or nanousd == 0:
            return None
        if nanousd is None:
            return _needs_bound(self.budget, priced=priced)
        return None if nanousd <= self.left_nanousd else self._exceeded(nanousd)

    def is_spent_for(self, nanousd: int | None) -> bool:
        """Whether so much would not fit even if no call were under way, some of it having been spent."""
        spent = self.settled_nanousd
        return nanousd is not None and spent > 0 and spent + nanousd > self.budget.amount_nanousd

    def pressure(self, now_us: int) -> float:
        """From 0 to 1: rises smoothly with what is used, the sooner the less time has passed; never falls by use."""
        if not self.budget.paced:
            return 0.0
        amount = self.budget.amount_nanousd
        used = 1.0 if amount <= 0 else min(1.0, (self.reserved_nanousd + self.settled_nanousd) / amount)
        begin = PACE_FROM
        if self.ends_us is not None:  # who spends no faster than time passes is not pressed
            passed = (now_us - self.starts_us) / (self.ends_us - self.starts_us)
            begin = min(max(PACE_FROM, passed), _LATEST_PACE)
        x = max(0.0, (used - begin) / (1 - begin))
        return x * x * (3 - 2 * x)

    def _exceeded(self, nanousd: int) -> RequestError:
        budget = self.budget
        wait_s = None if self.ends_us is None else max(1, self.ends_us // 1_000_000 - int(time.time()))
        if nanousd <= budget.amount_nanousd - self.settled_nanousd:  # what stands against it are calls under way
            said, wait_s = "is set aside for calls under way", 1
        elif self.ends_us is None:
            said = "is spent"
        else:
            anew = datetime.fromtimestamp(self.ends_us // 1_000_000, UTC)
            said = f"is spent; it begins anew at {anew:%Y-%m-%dT%H:%M:%SZ}"
        headers = {} if wait_s is None else {"retry-after": str(wait_s)}
        if wait_s is None or wait_s > _SOON_S:
            headers["x-should-retry"] = "false"
        return BudgetExceeded(f"The {budget.period} budget of {budget.scope} {said}.", headers=headers)


class BudgetExceeded(RequestError):
    """A hard budget does not reach for this call."""

    status, type, code = 429, "insufficient_quota", "budget_exceeded"


class NoBudget(BudgetExceeded):
    """A call may be made within a budget only, and there is none."""


class BudgetNeedsBound(InvalidRequest):
    """A hard budget binds the caller, and nobody can say what this call costs at most."""

    code = "budget_needs_bound"


def _needs_bound(budget: Budget, *, priced: bool) -> RequestError:
    if not priced:
        said = "the model has no known price, so a hard budget cannot hold; its operator can give it one"
        return BudgetNeedsBound(f"The {budget.period} budget of {budget.scope} is hard, and {said}.", param="model")
    said = "nothing bounds what this call can cost; set max_tokens, send no pictures or sound, or ask another model"
    return BudgetNeedsBound(f"The {budget.period} budget of {budget.scope} is hard, and {said}.", param="max_tokens")

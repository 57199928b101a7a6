"""What a client gets where the next call was not affordable: the best answer so far, or a refusal, as its policy says.

Knows outcomes and refusals. Knows no budget's amount.
"""

from dataclasses import replace

from gateway.budgets.budget import BudgetExceeded, BudgetNeedsBound
from gateway.ledger.entry import MaxCostExceeded
from gateway.policies import WhenUnaffordable
from router.outcome import Outcome

_MONEY = (BudgetExceeded, BudgetNeedsBound, MaxCostExceeded)


def as_afforded(outcome: Outcome, when: WhenUnaffordable) -> Outcome:
    """The outcome with the reason why it went no further; without an answer where the policy would rather refuse."""
    refusal = outcome.error
    if not isinstance(refusal, _MONEY):
        return outcome
    if any(attempt.reply is not None for attempt in outcome.attempts):
        refusal.headers["x-should-retry"] = "false"  # an answer has been paid for, and a retry would pay again
    if outcome.answered is None or when == "refuse":
        return replace(outcome, answered=None, stop_reason="failed")
    return replace(outcome, stop_reason="budget_exhausted")

"""Which tiers a request's own limit can pay for at all, and what a client gets where the next call was not affordable:
the best answer so far, or a refusal, as its policy says.

Knows outcomes and refusals. Knows no budget's amount.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.budgets.budget import BudgetExceeded, BudgetNeedsBound
from gateway.choice import Choice, WhenUnaffordable
from gateway.ledger.entry import MaxCostExceeded
from router.outcome import Outcome

_MONEY = (BudgetExceeded, BudgetNeedsBound, MaxCostExceeded)


def within_limit(choice: Choice, most_nanousd: int | None, bound_of: Callable[[str], int | None]) -> Choice:
    """The choice without the tiers whose single call could cost more than the whole request may.

    bound_of : by model, the most that a call of it can cost; None where nothing bounds it, which no limit lets through.
    Where no tier remains the choice stays as it is: the ledger refuses its first call, and says why.
    """
    if most_nanousd is None:
        return choice

    def affordable(model: str) -> bool:
        bound = bound_of(model)
        return bound is not None and bound <= most_nanousd

    return choice.only(affordable, "max_cost") or choice


def as_afforded(outcome: Outcome, when: WhenUnaffordable) -> Outcome:
    """The outcome with the reason why it went no further; without an answer where the policy would rather refuse."""
    refusal = outcome.error
    if not isinstance(refusal, _MONEY):
        return outcome
    if outcome.answered is None or when == "refuse":
        return replace(outcome, answered=None, stop_reason="failed")
    return replace(outcome, stop_reason="budget_exhausted")

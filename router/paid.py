"""What a logged answer cost, with all the calls that it took. Knows prices and usage; knows no table and no folder."""

from collections.abc import Callable

from router.mixture import model_of
from router.pricing import Price, price_of
from scorer.logline import LoggedAnswer

Pricing = Callable[[str], Price | None]
"""By model, its price in force; None where it is unknown."""


def models_paid(logged: LoggedAnswer) -> tuple[str, ...]:
    """Whose calls an answer took: its own model, and those that proposed for it."""
    return logged.answer.model, *(model_of(proposal.model) for proposal in logged.proposals)


def paid_nanousd(logged: LoggedAnswer, price: Pricing) -> int | None:
    """Its own call and every proposal, each priced exactly; None where a price is unknown.

    A proposal counts although another answer of the same query may be the very call: a mixture does not ask again for
    what an earlier stage has paid for, so that a cascade with both costs at most what is said here.
    """
    usages = (logged.usage, *(proposal.usage for proposal in logged.proposals))
    total = 0
    for model, usage in zip(models_paid(logged), usages, strict=True):
        known = price(model)
        if known is None:
            return None
        total += price_of(usage, known).nanousd
    return total

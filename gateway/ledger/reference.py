"""What the reference model alone would have cost for one request, as far as its calls tell.

Knows settled calls, prices, and that a mixture takes several calls. Knows no table.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gateway.ledger.billing import Reservation, Settlement, reference_cost
from gateway.ledger.entry import ReferenceSource
from gateway.ledger.tariff import Tariff
from router.mixture import Mixture
from scorer.answer import Usage

Settled = Sequence[tuple[Reservation, Settlement]]
_ANSWERED = ("accepted", "rejected")


def reference_of(
    model: str, answered: str | None, cached: Usage | None, settled: Settled, tariff: Tariff
) -> tuple[int | None, ReferenceSource | None]:
    """In nano-USD: what it cost where it was asked, else its price on the counts of the answer that was given.

    answered : the attempt that was.   cached : the counts of a cached answer, where one was given.
    """
    mixture = tariff.mixtures.get(model)
    for reservation, settlement in settled:
        answers = settlement.state in _ANSWERED and reservation.kind == "answer"
        if answers and reservation.model == model and settlement.amount_nanousd is not None:
            proposed = () if mixture is None else tuple(_proposed(mixture, reservation.stage, settled))
            cost = _sum([settlement.amount_nanousd, *proposed])
            return cost, None if cost is None else "observed"
    usage = cached
    for reservation, settlement in settled:
        if settlement.attempt_id == answered:
            usage = settlement.usage
            if usage is not None and reservation.model in tariff.mixtures:
                usage = _without_proposals(usage, settled)
    cost = None if usage is None else _modelled(mixture, model, usage, tariff)
    return cost, None if cost is None else "modelled"


def _proposed(mixture: Mixture, stage: int, settled: Settled) -> Iterator[int | None]:
    """What its proposals cost, and the answers of earlier stages that it did not have to ask for again."""
    taken: Counter[str] = Counter()
    wanted = Counter(mixture.models)
    for reservation, settlement in settled:
        if reservation.kind == "proposal" and reservation.stage == stage:
            taken[reservation.model] += 1
            yield settlement.amount_nanousd
    for reservation, settlement in settled:
        earlier = reservation.kind == "answer" and reservation.stage < stage and settlement.state in _ANSWERED
        if earlier and taken[reservation.model] < wanted[reservation.model]:
            taken[reservation.model] = wanted[reservation.model]
            yield settlement.amount_nanousd


def _without_proposals(usage: Usage, settled: Settled) -> Usage:
    """The counts of a mixture's answer as if one model had been asked what the client asked."""
    counts = [settlement.usage for reservation, settlement in settled if reservation.kind == "proposal"]
    prompts = [count.prompt_tokens for count in counts if count is not None and count.prompt_tokens]
    prompt = min([usage.prompt_tokens, *prompts])
    return replace(usage, prompt_tokens=prompt, cached_prompt_tokens=0, cache_write_tokens=0)


def _modelled(mixture: Mixture | None, model: str, usage: Usage, tariff: Tariff) -> int | None:
    """A mixture is thought to have asked as few as it may, each for as much as the answer has: rather too little."""
    price = tariff.prices.price(model)
    if mixture is None:
        return reference_cost(usage, price)
    asked = [reference_cost(usage, tariff.prices.price(one)) for one in mixture.models[: mixture.least]]
    shown = usage.prompt_tokens + mixture.least * usage.completion_tokens
    return _sum([*asked, reference_cost(replace(usage, prompt_tokens=shown), price)])


def _sum(amounts: Sequence[int | None]) -> int | None:
    """None where one is unknown: that is never zero."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None

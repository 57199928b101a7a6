"""What the reference model alone would have cost, where it or the answer is made of several calls."""

from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.ledger.alarms import Alarms
from gateway.ledger.request_log import RequestLog
from gateway.ledger.tariff import Tariff
from router.mixture import Mixture
from router.outcome import Attempt, AttemptKind
from router.pricing import Price, PriceBook
from scorer.answer import Usage
from tests.ledgers import BODY, LARGE, SMALL, a_record, an_attempt, an_opening
from tests.unit.gateway.ledger.test_request_log import Kept

PANEL = Price(model="panel", rates={"input": Decimal(10), "output": Decimal(10)})
PAIR = Mixture(name="panel", models=("small", "small"), aggregator="large", least=2)
TARIFF = Tariff(prices=PriceBook([SMALL, LARGE, PANEL]), mixtures={"panel": PAIR})
ASKED, SAID = 1000, 100
SMALL_COST, LARGE_COST = 210_000, 3_500_000  # on these counts


async def told(reference: str, *calls: tuple[AttemptKind, Attempt]) -> tuple[int | None, str | None]:
    """The reference's cost and whence, where the last call gave the answer."""
    log = RequestLog(a_record(reference_model=reference), BODY, TARIFF, Kept(), Alarms())
    for kind, attempt in calls:
        await log.open(replace(an_opening(attempt), kind=kind))
        log.close(attempt)
    closing = log.closing(status="answered", cache_status="MISS", answered=calls[-1][1])
    return closing.reference_nanousd, closing.reference_source


def call(model: str, prompt: int = ASKED, *, stage: int = 0, state: str = "accepted") -> Attempt:
    usage = Usage(prompt_tokens=prompt, completion_tokens=SAID)
    return an_attempt(model=model, usage=usage, stage=stage, state=state)  # type: ignore[arg-type]


def panel(prompt: int, *, stage: int = 0) -> Attempt:
    return call("panel", prompt, stage=stage)


def at_panels_price(prompt: int) -> int:
    return (prompt + SAID) * 10_000


async def test_a_mixture_that_was_asked_costs_its_proposals_too() -> None:
    found = await told("panel", ("proposal", call("small")), ("proposal", call("small")), ("answer", panel(1200)))
    assert found == (2 * SMALL_COST + at_panels_price(1200), "observed")


async def test_a_proposal_whose_cost_is_unknown_leaves_the_sum_unknown() -> None:
    found = await told("panel", ("proposal", call("unpriced")), ("answer", panel(1200)))
    assert found == (None, None)


async def test_alone_it_would_have_asked_for_what_an_earlier_stage_had_paid() -> None:
    before = call("small", state="rejected")
    found = await told(
        "panel", ("answer", before), ("proposal", call("small", stage=1)), ("answer", panel(1200, stage=1))
    )
    assert found == (2 * SMALL_COST + at_panels_price(1200), "observed")


async def test_a_mixture_that_was_not_asked_is_priced_with_the_fewest_calls_that_it_could_make() -> None:
    assert await told("panel", ("answer", call("small"))) == (
        2 * SMALL_COST + at_panels_price(ASKED + 2 * SAID),
        "modelled",
    )


@pytest.mark.parametrize("prompt", [1200, 900])
async def test_another_model_is_not_priced_on_proposals_that_nobody_would_have_shown_it(prompt: int) -> None:
    amount, source = await told("large", ("proposal", call("small")), ("answer", panel(prompt)))
    expected = LARGE_COST if prompt > ASKED else LARGE_COST - 100 * 2_500
    assert (amount, source) == (expected, "modelled")

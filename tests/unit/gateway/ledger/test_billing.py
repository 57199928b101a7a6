"""What an attempt is put down at: known, free, estimated, bounded or unknown, and never a made-up zero."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.billing import BOUND, Reservation, Settlement, reference_cost, reserve, settle
from gateway.ledger.billing_rules import ANYBODY, BillingRule, rule_for
from gateway.ledger.bounds import call_bound
from router.errors import BackendBroken, BackendError, BackendRefused, BackendTimeout, BackendUnreachable
from router.outcome import Attempt
from router.pricing import Price
from scorer.answer import Usage
from tests.ledgers import LARGE, SMALL, an_attempt

TOLD = Usage(prompt_tokens=1000, completion_tokens=50, cached_prompt_tokens=600)


def settled(attempt: Attempt, price: Price | None = LARGE, reserved: int | None = 10_000_000) -> Settlement:
    reservation = Reservation(
        attempt_id=attempt.id,
        decision_id="dec_1",
        tenant_id="acme",
        stage=0,
        model=attempt.model,
        opened_us=0,
        price=price,
        price_version=None if price is None else price.version,
        reserved_nanousd=reserved,
        text_bytes=400,
    )
    return settle(attempt, reservation)


def test_a_known_usage_is_priced_meter_by_meter() -> None:
    found = settled(an_attempt(usage=TOLD))
    assert {line.meter: (line.quantity, line.amount_nanousd) for line in found.lines} == {
        "input": (400, 1_000_000),
        "cached_input": (600, 750_000),
        "output": (50, 500_000),
    }
    assert (found.amount_nanousd, found.usage_source, found.usage) == (2_250_000, "provider", TOLD)


rates = st.decimals(min_value=0, max_value=1000, places=6)
counts = st.integers(0, 200_000)


@given(rates, rates, rates, counts, counts, counts)
def test_an_amount_is_the_sum_of_lines_that_each_recompute(
    input_rate: Decimal, cached_rate: Decimal, output_rate: Decimal, prompt: int, cached: int, completion: int
) -> None:
    price = Price(model="m", rates={"input": input_rate, "cached_input": cached_rate, "output": output_rate})
    usage = Usage(prompt_tokens=prompt, cached_prompt_tokens=min(cached, prompt), completion_tokens=completion)
    found = settled(an_attempt(model="m", usage=usage), price)
    assert found.amount_nanousd == sum(line.amount_nanousd or 0 for line in found.lines)
    for line in found.lines:
        assert line.rate_usd is not None
        exact = Fraction(line.rate_usd) * line.quantity * 1000
        assert line.amount_nanousd == round(exact)  # Python rounds a Fraction half-even


@given(st.integers(1, 5), st.integers(1, 5000), st.integers(0, 3000), st.floats(0, 1), st.floats(0, 1))
def test_what_keeps_to_its_bounds_costs_no_more_than_was_reserved(
    choices: int, limit: int, words: int, prompt_part: float, output_part: float
) -> None:
    body = {"messages": [{"role": "user", "content": "x" * words}], "max_tokens": limit, "n": choices}
    bound = call_bound(body)
    reserved = reserve(bound, LARGE)
    assert reserved is not None
    usage = Usage(
        prompt_tokens=int((bound.prompt_tokens or 0) * prompt_part),
        completion_tokens=int(choices * limit * output_part),
    )
    assert (settled(an_attempt(usage=usage), LARGE, reserved).amount_nanousd or 0) <= reserved


@pytest.mark.parametrize(
    ("body", "price"),
    [
        ({"messages": [], "max_tokens": 5}, None),
        ({"messages": []}, SMALL),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "max_tokens": 5}, SMALL),
        ({"messages": [], "max_tokens": 10**18, "n": 10**9}, SMALL),
    ],
)
def test_without_a_price_or_a_bound_nothing_is_reserved(body: dict[str, object], price: Price | None) -> None:
    assert reserve(call_bound(body), price) is None


def test_an_unknown_price_is_an_unknown_amount_with_its_counts_kept() -> None:
    found = settled(an_attempt(usage=TOLD), None, None)
    assert found.amount_nanousd is None
    assert {line.meter: line.quantity for line in found.lines} == {"input": 400, "cached_input": 600, "output": 50}
    assert {(line.rate_usd, line.amount_nanousd) for line in found.lines} == {(None, None)}


def test_an_unknown_price_is_unknown_even_where_nothing_was_counted() -> None:
    assert settled(an_attempt(usage=Usage(prompt_tokens=0, completion_tokens=0)), None).amount_nanousd is None


@pytest.mark.parametrize("error", [BackendRefused("m", "no", status=400), BackendUnreachable("m", "no")])
def test_a_failure_that_nobody_bills_costs_nothing(error: BackendError) -> None:
    found = settled(an_attempt(state="failed", replied=False, error=error), None)
    assert (found.amount_nanousd, found.lines, found.usage_source) == (0, (), None)
    assert (found.error_kind, found.error_status) == (type(error).__name__, error.status)


def test_what_was_never_sent_costs_nothing() -> None:
    nothing = Usage(prompt_tokens=0, completion_tokens=0)
    assert settled(an_attempt(state="cancelled", replied=False, usage=nothing), None).amount_nanousd == 0


@pytest.mark.parametrize("error", [BackendTimeout("m", "late"), BackendBroken("m", "gone"), None])
def test_what_may_be_billed_is_put_down_at_its_bound_and_marked(error: BackendError | None) -> None:
    found = settled(an_attempt(state="cancelled" if error is None else "failed", replied=False, error=error))
    assert (found.amount_nanousd, found.usage_source) == (10_000_000, "estimated")
    (line,) = found.lines
    assert (line.meter, line.quantity, line.rate_usd) == (BOUND, 1, Decimal("0.01"))


def test_without_a_bound_it_is_unknown() -> None:
    found = settled(an_attempt(state="cancelled", replied=False), LARGE, None)
    assert (found.amount_nanousd, found.usage_source, found.lines) == (None, "estimated", ())


def test_a_cancelled_call_is_priced_at_what_is_known_of_it() -> None:
    part = Usage(prompt_tokens=10, completion_tokens=3, source="counted")
    found = settled(an_attempt(state="cancelled", replied=False, usage=part))
    assert (found.amount_nanousd, found.usage_source) == (55_000, "counted")


def test_an_answer_without_usage_is_estimated_from_its_length_and_marked() -> None:
    found = settled(an_attempt())
    assert found.usage is not None
    assert found.usage.prompt_tokens == 400  # no tokenizer makes more tokens than bytes
    assert found.usage.completion_tokens >= 1
    assert found.usage_source == "estimated"
    assert found.amount_nanousd


@pytest.mark.parametrize(
    "nonsense",
    [Usage(prompt_tokens=-1, completion_tokens=5), Usage(prompt_tokens=5, completion_tokens=10**30)],
)
def test_a_usage_that_cannot_be_is_not_believed(nonsense: Usage) -> None:
    assert settled(an_attempt(usage=nonsense)).usage_source == "estimated"
    found = settled(an_attempt(usage=nonsense, replied=False, state="failed"))
    assert (found.amount_nanousd, found.usage_source) == (10_000_000, "estimated")


def test_the_reference_is_priced_on_the_same_counts_or_not_at_all() -> None:
    assert reference_cost(TOLD, LARGE) == 2_250_000
    assert reference_cost(TOLD, None) is None
    assert reference_cost(Usage(prompt_tokens=-1, completion_tokens=0), LARGE) is None


def hung_up(heard: int, rule: BillingRule = ANYBODY, **changes: Any) -> Settlement:
    attempt = an_attempt(state="cancelled", replied=False, heard="x" * heard, **changes)
    reservation = Reservation(
        attempt_id=attempt.id,
        decision_id="dec_1",
        tenant_id="acme",
        model=attempt.model,
        opened_us=0,
        price=LARGE,
        price_version=LARGE.version,
        reserved_nanousd=10_000_000,
        text_bytes=400,
    )
    return settle(attempt, reservation, rule)


def test_a_stream_that_was_broken_off_is_estimated_from_what_was_heard() -> None:
    found = hung_up(80)
    assert (found.usage_source, found.amount_nanousd) == ("estimated", 400 * 2500 + (80 + 32) * 10_000)


def test_of_what_nothing_was_heard_the_bound_is_put_down() -> None:
    found = hung_up(0)
    assert (found.usage_source, found.amount_nanousd, found.lines[0].meter) == ("estimated", 10_000_000, BOUND)


def test_providers_bill_by_their_rules() -> None:
    assert hung_up(80, rule_for("gemini", {})).amount_nanousd == 10_000_000
    assert hung_up(80, rule_for("recorded", {})).amount_nanousd == 0
    assert hung_up(80, rule_for("gemini", {"gemini": BillingRule(hung_up="free")})).amount_nanousd == 0
    broken = BackendBroken("large", "500", status=500)
    assert hung_up(80, rule_for("openai", {}), error=broken).amount_nanousd == 0
    assert hung_up(80, rule_for(None, {}), error=broken).amount_nanousd == 10_000_000
    late = BackendTimeout("large", "late")
    assert hung_up(80, rule_for("openai", {}), error=late).usage_source == "estimated"

"""Another threshold: a stricter one never costs less, today's costs what was paid, and nothing is said of too few."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import DrawFn, composite, floats, integers, lists

from gateway.dashboard.whatif import FEWEST, trials
from gateway.ledger.newest import Seen, SeenCall
from tests.dashboard_seed import NOW

TODAY = 0.6
CALL = SeenCall(
    attempt_id="a1", kind="answer", cause="first", stage=0, model="small", state="accepted", score=0.8, threshold=TODAY,
    latency_s=1.0, first_token_s=None, amount_nanousd=100, error_kind=None,
)  # fmt: skip
SEEN = Seen(
    decision_id="dec_1", created=NOW, tenant_id="t", team_id=None, key_id=None, policy="p", requested_model="auto",
    strategy_id="st", status="answered", stop_reason="accepted", abstention=None, cache_status="MISS",
    answered_attempt="a1", answered_model="small", reference_nanousd=1000, steps=(CALL,),
)  # fmt: skip


def seen(score: float, cost: int, onward: int, reference: int | None = 1000) -> Seen:
    """A request as it went with today's threshold."""
    first = replace(CALL, score=score, amount_nanousd=cost, state="accepted" if score >= TODAY else "rejected")
    if score >= TODAY:
        return replace(SEEN, steps=(first,), reference_nanousd=reference)
    last = replace(CALL, attempt_id="a2", stage=1, model="large", score=None, threshold=None, amount_nanousd=onward)
    return replace(SEEN, steps=(first, last), answered_attempt="a2", reference_nanousd=reference)


@composite
def requests(draw: DrawFn) -> list[Seen]:
    drawn = [
        seen(draw(floats(0, 1)), draw(integers(0, 10**6)), draw(integers(0, 10**7)), draw(integers(1, 10**7)))
        for _ in range(FEWEST + draw(integers(0, 10)))
    ]
    return [seen(0.1, 50, 500), *drawn]


@given(requests(), lists(floats(0, 1), min_size=2, max_size=6))
def test_a_stricter_threshold_never_costs_less_and_accepts_no_more(newest: list[Seen], thresholds: list[float]) -> None:
    found = trials(newest, "small", 0.9)
    assert found is not None
    told = [found.at(threshold) for threshold in sorted(thresholds)]
    for lenient, strict in pairwise(told):
        assert lenient.cost <= strict.cost * (1 + 1e-12)
        assert lenient.accepted >= strict.accepted
    for outlook in told:
        assert outlook.cost_low <= outlook.cost <= outlook.cost_high
        assert outlook.quality is not None
        assert 0 <= (outlook.quality_low or 0) <= outlook.quality <= (outlook.quality_high or 0) <= 1


@given(requests())
def test_todays_threshold_costs_what_was_paid(newest: list[Seen]) -> None:
    found = trials(newest, "small", 0.9)
    assert found is not None
    paid = sum(request.spent_nanousd or 0 for request in newest)
    assert found.at(TODAY).cost * len(newest) == pytest.approx(paid)


def test_going_on_is_guessed_by_the_reference_of_the_same_request() -> None:
    went_on = [seen(0.1, 0, 500, 1000)] * FEWEST
    found = trials([*went_on, seen(0.9, 0, 0, 4000)], "small", None)
    assert found is not None
    assert found.guessed == 1
    assert found.at(1.0).cost * found.n == pytest.approx(
        FEWEST * 500 + 2000
    )  # half of the reference, as where it is known
    assert found.at(1.0).quality is None  # nobody scored the last tier, and no reference quality is told
    assert found.at(0.0).quality is not None


def test_nothing_is_said_of_too_few_or_of_what_never_went_on() -> None:
    assert trials([seen(0.1, 1, 1)] * (FEWEST - 1), "small", 0.9) is None
    assert trials([seen(0.9, 1, 1, None)] * FEWEST, "small", 0.9) is None
    unusable = [
        replace(SEEN, status="failed"),
        replace(SEEN, steps=(replace(CALL, amount_nanousd=None),)),
        replace(SEEN, steps=(CALL, CALL)),
        replace(SEEN, steps=(replace(CALL, score=None),)),
        replace(SEEN, steps=()),
        replace(SEEN, steps=(replace(CALL, model="other"),)),
    ]
    assert trials(unusable * FEWEST, "small", 0.9) is None

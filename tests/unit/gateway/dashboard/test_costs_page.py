"""The page of costs adds up, compares only what compares, and shows a loss as a loss."""

from datetime import timedelta

from hypothesis import given
from hypothesis.strategies import DrawFn, booleans, composite, integers, lists, sampled_from

from gateway.dashboard.costs_page import costs_page
from gateway.ledger.overview import AttemptGroup, Period, RequestGroup, Tally, total
from tests.dashboard_seed import NOW

WEEK = Period.days(7, NOW)


def attempt_group(
    model: str = "small", state: str | None = "accepted", stage: int = 0, calls: int = 1, spent: int = 0,
    policy: str | None = "support", unpriced: int = 0, unmeasured: int = 0,
) -> AttemptGroup:  # fmt: skip
    return AttemptGroup(
        policy=policy, stage=stage, model=model, state=state, kind="answer",
        calls=calls, spent_nanousd=spent, unpriced=unpriced,
        unmeasured=unmeasured, estimated=0, prompt_tokens=10 * calls, completion_tokens=calls, latency_s=0.5 * calls,
    )  # fmt: skip


@composite
def request_groups(draw: DrawFn) -> RequestGroup:
    requests = draw(integers(1, 1000))
    compared = draw(integers(0, requests))
    spent = draw(integers(0, 10**12))
    return RequestGroup(
        slot=draw(sampled_from(WEEK.starts)),
        status=draw(sampled_from([None, "answered", "cached", "failed", "lost"])),
        cache_status=draw(sampled_from([None, "HIT", "MISS", "DISABLED"])),
        reference_model="large" if draw(booleans()) else None,
        reference_source=draw(sampled_from([None, "observed", "modelled"])),
        tally=Tally(
            requests=requests,
            spent_nanousd=spent,
            compared=compared,
            compared_nanousd=draw(integers(0, spent)) if compared else 0,
            reference_nanousd=draw(integers(0, 10**13)) if compared else 0,
        ),
    )


@given(lists(request_groups(), max_size=30))
def test_slots_statuses_and_total_add_up(groups: list[RequestGroup]) -> None:
    page = costs_page(WEEK, groups, [])
    assert page.total == total(group.tally for group in groups)
    assert page.total == total(slot.tally for slot in page.slots)
    assert sum(page.statuses.values()) == page.total.requests
    assert page.hits <= page.looked_up <= page.total.requests
    assert page.total.saved_nanousd == page.total.reference_nanousd - page.total.compared_nanousd
    assert page.cached == total(group.tally for group in groups if group.status == "cached")
    assert len(page.slots) == 7


def test_a_cascade_that_does_not_pay_has_a_negative_saving() -> None:
    tally = Tally(requests=2, spent_nanousd=120, compared=2, compared_nanousd=120, reference_nanousd=100)
    assert tally.saved_nanousd == -20


def test_tiers_count_how_their_calls_ended() -> None:
    page = costs_page(
        WEEK,
        [],
        [
            attempt_group(state="accepted", calls=6, spent=60),
            attempt_group(state="rejected", calls=3, spent=30),
            attempt_group(state="failed", calls=1),
            attempt_group(state="cancelled", calls=2, spent=5),
            attempt_group(state=None, calls=4),
            attempt_group("large", stage=1, calls=3, spent=900),
            attempt_group("plain", policy=None, calls=9, spent=9),
        ],
    )
    first, second = page.tiers
    assert (first.number, first.model, first.calls, first.acceptance) == (1, "small", 16, 0.6)
    assert (first.accepted, first.rejected, first.failed, first.cancelled) == (6, 3, 1, 2)
    assert first.part(first.accepted) == 37.5
    assert (second.number, second.model, second.acceptance, second.spent_nanousd) == (2, "large", 1.0, 900)
    assert page.in_flight == 4
    assert [(model.model, model.spent_nanousd) for model in page.models] == [
        ("large", 900),
        ("small", 95),
        ("plain", 9),
    ]
    assert sum(model.share or 0 for model in page.models) == 1


def test_a_tier_without_an_ended_call_has_no_acceptance() -> None:
    page = costs_page(WEEK, [], [attempt_group(state=None)])
    assert page.tiers[0].acceptance is None
    assert page.models[0].latency_s is None
    assert page.models[0].share is None


def test_calls_of_unknown_cost_are_things_to_do() -> None:
    page = costs_page(WEEK, [], [attempt_group("new", unpriced=1), attempt_group("cut-off", unmeasured=1)])
    assert [model.model for model in page.unpriced] == ["new"]
    assert [model.model for model in page.unmeasured] == ["cut-off"]


def test_periods_are_whole_days_or_hours_and_hold_the_present() -> None:
    for days in (1, 7, 30, 90):
        period = Period.days(days, NOW)
        assert period.since <= NOW - timedelta(days=days - 1)
        assert period.until - period.since == timedelta(days=days)
        assert period.starts[-1] <= NOW < period.until == period.starts[-1] + period.slot
    assert len(Period.days(1, NOW).starts) == 24

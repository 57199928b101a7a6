"""Headers say what is known, and nothing in them ends a header."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Decision
from gateway.ledger.entry import Spent
from gateway.routes.headers import decision_fields, decision_headers, safe


@given(st.text())
def test_no_value_can_begin_another_header(text: str) -> None:
    assert safe(text).isascii()
    assert not set(safe(text)) & set("\r\n\0")


def test_what_is_not_known_is_left_out() -> None:
    decision = Decision(
        id="dec_1", created=datetime.now(UTC), policy=None, strategy_id="st_1", cache="MISS", model="m", tier=1
    )
    assert decision_headers(decision) == {
        "x-request-id": "dec_1",
        "x-spillway-decision-id": "dec_1",
        "x-spillway-strategy": "st_1",
        "x-spillway-model": "m",
        "x-spillway-tier": "1",
        "x-spillway-cache": "MISS",
    }


def test_an_unknown_cost_is_left_out_and_zero_is_not() -> None:
    decision = Decision(
        id="dec_1",
        created=datetime.now(UTC),
        policy="p",
        strategy_id="s",
        cache="HIT",
        model="m",
        score=0.5,
        spent=Spent(nanousd=0),
    )
    assert decision_headers(decision)["x-spillway-cost-usd"] == "0"
    assert decision_headers(decision)["x-spillway-score"] == "0.500000"
    assert decision_fields(decision)["score"] == 0.5

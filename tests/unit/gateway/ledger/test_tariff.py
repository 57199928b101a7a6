"""What bounds a call of a model: the smaller limit, unless the model was seen to keep to none."""

import pytest

from gateway.ledger.bounds import call_bound
from gateway.ledger.tariff import Tariff
from router.pricing import PriceBook

HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("asked", "lacks", "context", "most"),
    [
        (None, set(), 4096, 512),
        (8, set(), 4096, 8),
        (1000, {"logprobs"}, 4096, 512),
        (8, {"output_limit"}, 4096, 4096),
        (8, {"output_limit"}, None, None),
        (None, {"output_limit"}, None, None),
    ],
)
def test_what_bounds_an_answer(asked: int | None, lacks: set[str], context: int | None, most: int | None) -> None:
    tariff = Tariff(
        prices=PriceBook(),
        output_limits={"m": 512},
        lacking={"m": frozenset(lacks), "other": frozenset({"output_limit"})},
        contexts={} if context is None else {"m": context},
    )
    bound = call_bound({"messages": HELLO} | ({} if asked is None else {"max_tokens": asked}))
    assert tariff.bounded(bound, "m").output_tokens == most
    assert tariff.bounded(bound, "m").prompt_tokens == bound.prompt_tokens


def test_what_is_found_later_holds_from_then_on() -> None:
    lacking: dict[str, frozenset[str]] = {}
    tariff, bound = Tariff(prices=PriceBook(), lacking=lacking), call_bound({"messages": HELLO, "max_tokens": 8})
    assert tariff.bounded(bound, "m").output_tokens == 8
    lacking["m"] = frozenset({"output_limit"})
    assert tariff.bounded(bound, "m").output_tokens is None

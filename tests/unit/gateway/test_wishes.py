"""Wishes are read from headers and from the body, and what is wrong is named where it stands."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.wishes import NONE, CacheWish, Wishes, wishes_of

WHOLE = Wishes(
    max_cost_nanousd=2_000_000,
    quality=0.9,
    policy="careful",
    min_tier=2,
    max_tier=3,
    cache=CacheWish(read=True, keep=False, max_age_s=60),
    tags={"feature": "search", "env": "prod"},
)


def test_nothing_said_is_nothing_wished() -> None:
    assert wishes_of({}, None) == wishes_of({}, {}) == wishes_of({}, {"quality": None}) == NONE


def test_headers_and_body_say_the_same() -> None:
    headers = {
        "x-spillway-max-cost-usd": "0.002",
        "x-spillway-quality": "0.9",
        "x-spillway-policy": "careful",
        "x-spillway-min-tier": "2",
        "x-spillway-max-tier": "3",
        "x-spillway-cache-control": "no-store, max-age=60",
        "x-spillway-tags": "feature=search, env=prod",
    }
    body = {
        "max_cost_usd": 0.002,
        "quality": 0.9,
        "policy": "careful",
        "min_tier": 2,
        "max_tier": 3,
        "cache_control": "max-age=60,no-store",
        "tags": {"feature": "search", "env": "prod"},
    }
    assert wishes_of(headers, None) == wishes_of({}, body) == wishes_of(headers, body) == WHOLE


def test_the_body_wins_and_tags_join() -> None:
    headers = {"x-spillway-quality": "0.2", "x-spillway-tags": "env=prod, feature=chat"}
    found = wishes_of(headers, {"quality": 0.7, "tags": {"feature": "search"}})
    assert (found.quality, found.tags) == (0.7, {"env": "prod", "feature": "search"})


@pytest.mark.parametrize(
    ("told", "param"),
    [
        (7, "spillway"),
        ({"speed": 1}, "spillway.speed"),
        ({"max_cost_usd": -1}, "spillway.max_cost_usd"),
        ({"max_cost_usd": float("nan")}, "spillway.max_cost_usd"),
        ({"max_cost_usd": True}, "spillway.max_cost_usd"),
        ({"max_cost_usd": "0.0000000001"}, "spillway.max_cost_usd"),
        ({"quality": 1.1}, "spillway.quality"),
        ({"quality": "best"}, "spillway.quality"),
        ({"quality": 10**400}, "spillway.quality"),
        ({"policy": "a b"}, "spillway.policy"),
        ({"min_tier": 0}, "spillway.min_tier"),
        ({"max_tier": 1.5}, "spillway.max_tier"),
        ({"min_tier": 3, "max_tier": 2}, "spillway.min_tier"),
        ({"cache_control": "public"}, "spillway.cache_control"),
        ({"cache_control": ""}, "spillway.cache_control"),
        ({"cache_control": "no-cache, only-if-cached"}, "spillway.cache_control"),
        ({"tags": ["a"]}, "spillway.tags"),
        ({"tags": {"a\nb": "c"}}, "spillway.tags"),
        ({"tags": {"a": "c\r\nd"}}, "spillway.tags.a"),
        ({"tags": {"spillway.quality": "1"}}, "spillway.tags.spillway.quality"),
        ({"tags": {str(n): "x" for n in range(17)}}, "spillway.tags"),
    ],
)
def test_what_is_wrong_is_named(told: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        wishes_of({}, told)
    assert refused.value.param == param
    assert param in refused.value.message


def test_a_header_at_fault_is_named_as_a_header() -> None:
    with pytest.raises(InvalidRequest) as refused:
        wishes_of({"x-spillway-min-tier": "first"}, None)
    assert refused.value.param == "x-spillway-min-tier"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["max_cost_usd", "quality", "policy", "min_tier", "max_tier", "cache_control", "tags", "x"]


@given(JSON | st.dictionaries(st.sampled_from(NAMES), JSON), st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_anything_is_understood_or_refused_by_name(told: Any, headers: dict[str, str]) -> None:
    named = {f"x-spillway-{name.replace('_', '-')}": text for name, text in headers.items()}
    try:
        found = wishes_of(named, told)
    except InvalidRequest as error:
        refused = error
    else:
        assert found.quality is None or 0 <= found.quality <= 1
        assert found.max_cost_nanousd is None or found.max_cost_nanousd >= 0
        return
    assert refused.param

"""The cache's rules: what may be kept, for whom, and that no two questions share an answer."""

import copy
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.cache.rules import (
    CacheMode,
    CacheScope,
    cache_key,
    why_not_keep,
    why_not_read,
    why_not_serve,
)
from router.strategy import Stage
from tests.unit.gateway.cache.entries import an_entry

SECRET = b"s" * 32
SCOPE = CacheScope(
    tenant_id="acme", endpoint="/v1/chat/completions", policy="default", strategy_id="st_1", scorer_version="sc_1"
)
BODY: Mapping[str, Any] = {
    "model": "auto",
    "temperature": 0,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    ],
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(max_size=6), json_values, max_size=4)
travelling = st.fixed_dictionaries({}, optional={"stream": json_values, "stream_options": json_values})


def typed(value: object) -> object:
    """Equal for two JSON values exactly if they are the same, type by type, whatever the order of keys."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((name, typed(inner)) for name, inner in value.items())))
    if isinstance(value, list):
        return ("array", tuple(typed(inner) for inner in value))
    return (type(value).__name__, repr(value))


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@given(bodies, bodies)
def test_two_bodies_share_a_key_exactly_if_they_are_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    names = {"stream", "stream_options"}
    same = typed({n: v for n, v in one.items() if n not in names}) == typed(
        {n: v for n, v in other.items() if n not in names}
    )
    assert (cache_key(SECRET, SCOPE, one) == cache_key(SECRET, SCOPE, other)) == same


@given(bodies, travelling, travelling)
def test_how_an_answer_travels_and_the_order_of_keys_do_not_matter(
    body: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    plain = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
    assert cache_key(SECRET, SCOPE, {**plain, **one}) == cache_key(SECRET, SCOPE, reordered({**other, **plain}))


@given(bodies, st.sampled_from([field.name for field in fields(CacheScope)]), st.text(max_size=5))
def test_nothing_is_shared_between_scopes(body: dict[str, Any], name: str, value: str) -> None:
    elsewhere = replace(SCOPE, **{name: value})
    assume(elsewhere != SCOPE)
    assert cache_key(SECRET, elsewhere, body) != cache_key(SECRET, SCOPE, body)


@given(bodies, st.text(max_size=5), st.text(max_size=5))
def test_no_tenant_reaches_another_by_a_clever_name_or_body(body: dict[str, Any], one: str, other: str) -> None:
    assume(one != other)
    keys = {
        cache_key(SECRET, replace(SCOPE, tenant_id=one, endpoint=other), body),
        cache_key(SECRET, replace(SCOPE, tenant_id=other, endpoint=one), body),
        cache_key(SECRET, replace(SCOPE, tenant_id=one + other, endpoint=""), body),
    }
    assert len(keys) == len({(one, other), (other, one), (one + other, "")})


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.0},
        {"temperature": "0"},
        {"temperature": False},
        {"n": 2},
        {"seed": 1},
        {"max_tokens": 5},
        {"logprobs": True},
        {"an_unknown_field": None},
        {"model": "cascade/default"},
        {"response_format": {"type": "json_object"}},
        {"tools": []},
        {"messages": [{"role": "user", "content": "Be brief."}]},
    ],
)
def test_everything_else_that_can_change_an_answer_is_in_the_key(change: Mapping[str, Any]) -> None:
    assert cache_key(SECRET, SCOPE, {**BODY, **change}) != cache_key(SECRET, SCOPE, BODY)


def test_one_bit_of_an_image_makes_another_question() -> None:
    other = copy.deepcopy(dict(BODY))
    other["messages"][1]["content"][0]["image_url"]["url"] = "data:image/png;base64,AAAB"
    assert cache_key(SECRET, SCOPE, other) != cache_key(SECRET, SCOPE, BODY)


def test_a_key_cannot_be_made_without_the_installations_secret() -> None:
    assert cache_key(b"t" * 32, SCOPE, BODY) != cache_key(SECRET, SCOPE, BODY)


@pytest.mark.parametrize("wide", [[1] * 50_000, [{"role": "user", "content": "a"}] * 20_000, "a" * 500_000])
def test_a_wide_body_is_spelt_at_once_and_not_piece_by_piece(wide: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cache.rules._scalar", None)  # each of millions of pieces would hold up all others
    assert cache_key(SECRET, SCOPE, {"a": wide}) != cache_key(SECRET, SCOPE, {"a": [wide]})


def test_depth_is_no_problem() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    assert cache_key(SECRET, SCOPE, {"a": deep}) != cache_key(SECRET, SCOPE, {"a": [deep]})


@pytest.mark.parametrize(
    ("temperature", "mode", "may"),
    [
        ({"temperature": 0}, "deterministic", True),
        ({"temperature": 0.0}, "deterministic", True),
        ({"temperature": 0.1}, "deterministic", False),
        ({"temperature": False}, "deterministic", False),
        ({"temperature": None}, "deterministic", False),
        ({}, "deterministic", False),
        ({}, "all", True),
        ({"temperature": 1}, "all", True),
        ({"temperature": 0}, "off", False),
        ({"temperature": 0, "web_search_options": {"city": "Ulm"}}, "all", False),
    ],
)
def test_a_policy_says_which_requests_are_cached(temperature: dict[str, Any], mode: CacheMode, may: bool) -> None:
    assert (why_not_read({"messages": [], **temperature}, mode) is None) == may


def a_body(finish: str | None = "stop", n: int = 1, **message: Any) -> dict[str, Any]:
    choice = {"finish_reason": finish, "message": {"role": "assistant", "content": "42", **message}}
    return {"choices": [choice] * n}


@pytest.mark.parametrize("body", [a_body(), a_body(n=3), a_body(refusal=None, tool_calls=[])])
def test_a_whole_answer_in_words_may_be_kept(body: dict[str, Any]) -> None:
    assert why_not_keep(body, "accepted") is None
    assert why_not_keep(body, "last_stage") is None


@pytest.mark.parametrize(
    "body",
    [
        a_body(finish="length"),
        a_body(finish="content_filter"),
        a_body(finish="tool_calls", content=None, tool_calls=[{"id": "1"}]),
        a_body(tool_calls=[{"id": "1"}]),
        a_body(function_call={"name": "f"}),
        a_body(refusal="No."),
        a_body(audio={"id": "a"}),
        a_body(finish=None),
        a_body(content=""),
        a_body(content=None),
        {"choices": []},
        {"choices": [*a_body()["choices"], *a_body(finish="length")["choices"]]},
        {"choices": [None]},
        {"error": {"message": "no"}, **a_body()},
        {},
    ],
)
def test_nothing_else_is_kept(body: dict[str, Any]) -> None:
    assert why_not_keep(body, "accepted")


@pytest.mark.parametrize("stop_reason", ["best_so_far", "scorer_abstained", "failed", "cancelled"])
def test_a_makeshift_does_not_outlive_its_emergency(stop_reason: str) -> None:
    assert why_not_keep(a_body(), stop_reason)


@pytest.mark.parametrize(
    ("stages", "scorer_version", "may"),
    [
        ([Stage(model="small", threshold=0.8), Stage(model="large")], "sc_1", True),
        ([Stage(model="small", threshold=0.81), Stage(model="large")], "sc_1", False),
        ([Stage(model="small", threshold=0.8)], "sc_2", False),
        ([Stage(model="small")], None, True),
        ([Stage(model="large")], "sc_1", False),
    ],
)
def test_only_what_would_be_accepted_today_is_served(stages: list[Stage], scorer_version: str, may: bool) -> None:
    entry = an_entry(model="small", score=0.8, scorer_version="sc_1")
    assert (why_not_serve(entry, stages, scorer_version) is None) == may


def test_an_unscored_answer_is_served_only_where_none_is_scored() -> None:
    entry = an_entry(model="small", score=None)
    assert why_not_serve(entry, [Stage(model="small", threshold=0.0)], "sc_1")
    assert why_not_serve(entry, [Stage(model="small")], "sc_1") is None

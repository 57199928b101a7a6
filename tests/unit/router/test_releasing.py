"""A watch lets an answer go at the first length whose beginning is good enough, and never one that calls tools."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.releasing import Watch, judges_beginnings, watching
from scorer.answer import Query
from scorer.errors import ScorerError
from tests.wire import chunk_of

QUERY = Query(id="q", messages=())


def heard(watch: Watch, *pieces: dict[str, Any]) -> list[float | None]:
    return [watch.hear(chunk_of(piece)) for piece in pieces]


def watch(scores: dict[str, float], lengths: tuple[int, ...] = (2, 4)) -> Watch:
    return Watch(lengths=lengths, threshold=0.5, judge=scores.get)


def test_it_judges_at_each_length_and_lets_go_at_the_first_that_reaches() -> None:
    assert heard(watch({"ab": 0.4, "abcd": 0.6}), {"content": "ab"}, {"content": "c"}, {"content": "de"}) == [
        None,
        None,
        0.6,
    ]
    assert heard(watch({"ab": 0.9}), {"content": "abcdef"}) == [0.9]
    assert heard(watch({"abcd": 0.9}), {"content": "abcd"}) == [None]  # it may end there, and be judged whole


@pytest.mark.parametrize(
    "piece", [{"tool_calls": [{"index": 0}]}, {"function_call": {"name": "f"}}, {"content": [{"type": "text"}]}]
)
def test_what_is_more_than_text_is_never_let_go(piece: dict[str, Any]) -> None:
    one = watch({"ab": 0.9, "abcd": 0.9})
    assert heard(one, piece, {"content": "abcdef"}) == [None, None]
    other = watch({"ab": 0.9})
    assert other.hear({"choices": [{"index": 1, "delta": {"content": "abc"}}]}) is None


@given(st.lists(st.text(max_size=4), max_size=12), st.sets(st.integers(1, 12), min_size=1))
def test_what_is_judged_is_the_same_however_it_is_cut(pieces: list[str], lengths: set[int]) -> None:
    judged: list[str] = []

    def judge(text: str) -> None:
        judged.append(text)

    one = Watch(lengths=tuple(sorted(lengths)), threshold=2.0, judge=judge)
    heard(one, *({"content": piece} for piece in pieces))
    whole = "".join(pieces)
    assert judged == [whole[:length] for length in sorted(lengths) if length < len(whole)]


class Failing:
    prefix_lengths: tuple[int, ...] = (1,)

    def score_prefix(self, query: Query, model: str, text: str) -> float:
        raise ScorerError("no")


def test_a_scorer_that_fails_lets_nothing_go() -> None:
    made = watching(Failing(), QUERY, "m", 0.0)
    assert made is not None
    assert made().hear(chunk_of({"content": "ab"})) is None


def test_a_scorer_without_lengths_judges_no_beginnings() -> None:
    class Without(Failing):
        prefix_lengths = ()

    assert judges_beginnings(Without()) is None
    assert judges_beginnings(None) is None
    assert watching(object(), QUERY, "m", 0.5) is None

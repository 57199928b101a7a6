"""What a mixture asks its proposers and its aggregator, and how many it asks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.mixture import Mixture, model_of
from scorer.answer import Answer

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "how many?"}], "n": 3, "top_p": 0.5}


def mixture(*models: str, least: int | None = None, **fields: Any) -> Mixture:
    asked = models or ("small", "small", "medium")
    return Mixture(name="panel", models=asked, aggregator="large", least=least or len(asked), **fields)


def said(text: str) -> Answer:
    return Answer(model="small", text=text)


def test_samples_of_one_model_have_names_of_their_own() -> None:
    proposers = mixture("small", "medium", "small", "small").proposers
    assert [one.name for one in proposers] == ["small", "medium", "small#2", "small#3"]
    assert all(model_of(one.name) == one.model for one in proposers)


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 1), st.floats(0, 1))
def test_more_doubt_never_asks_fewer_and_always_between_least_and_all(n: int, least: int, a: float, b: float) -> None:
    least = min(least, n)
    mixed = mixture(*["small"] * n, least=least)
    fewer, more = (len(mixed.asked(doubt)) for doubt in sorted((a, b)))
    assert least <= fewer <= more <= n
    assert len(mixed.asked(0.0)) == least
    assert len(mixed.asked(1.0)) == n


@pytest.mark.parametrize(("least", "quorum"), [(4, 1), (1, 2), (3, 4)])
def test_a_mixture_that_could_never_answer_is_none(least: int, quorum: int) -> None:
    with pytest.raises(ValueError, match="quorum"):
        mixture(least=least, quorum=quorum)


def test_a_proposer_is_asked_for_one_answer_within_its_limit() -> None:
    mixed = mixture(temperature=0.7, most_tokens=100)
    assert mixed.proposal(BODY) == {
        "messages": BODY["messages"],
        "top_p": 0.5,
        "temperature": 0.7,
        "max_tokens": 100,
    }
    assert mixed.proposal({**BODY, "max_completion_tokens": 30})["max_completion_tokens"] == 30
    assert mixed.proposal({**BODY, "max_tokens": 3000})["max_tokens"] == 100
    assert "temperature" not in mixture().proposal(BODY)


@pytest.mark.parametrize(
    "last",
    [
        {"role": "user", "content": "how many?"},
        {"role": "user", "content": [{"type": "text", "text": "how many?"}]},
        {"role": "assistant", "content": "as many as"},
    ],
)
def test_the_aggregator_sees_the_whole_request_and_then_the_proposals(last: dict[str, Any]) -> None:
    before = {"role": "system", "content": "be brief"}
    body = mixture(prompt="Weigh these.").aggregate({**BODY, "messages": [before, last]}, [said("41"), said("42")])
    assert body["messages"][0] == before
    assert body["n"] == 3
    written = str(body["messages"][1:])
    places = [written.index(str(part)) for part in ("many", "Weigh these.", "41", "42")]
    assert places == sorted(places)


def test_a_proposer_that_writes_beyond_its_limit_is_shown_no_further() -> None:
    mixed = mixture(most_tokens=2)
    shown = mixed.aggregate(BODY, [said("ä" * 1000)])["messages"][0]["content"]
    assert shown.count("ä") == mixed.most_bytes // 2


@given(st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=40), max_size=3))
def test_no_call_is_longer_than_was_told_before(texts: list[str]) -> None:
    mixed = mixture(most_tokens=4)
    longest = dict(mixed.calls(BODY))
    asked = mixed.aggregate(BODY, [said(text) for text in texts])
    sizes = [len(body["messages"][0]["content"].encode()) for body in (asked, longest["panel"])]
    assert sizes[0] <= sizes[1]
    assert [model for model, _ in mixed.calls(BODY)] == ["small", "small", "medium", "panel"]

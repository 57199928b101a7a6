"""What is like the training queries and what is not: the stated rate holds, foreign traffic is told."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from scorer.answer import Query
from scorer.dataset import LoggedQuery
from scorer.familiarity import RATE, Familiarity
from scorer.scoring import Scorer
from tests.unit.scorer import synthetic


def of(log: tuple[LoggedQuery, ...]) -> Familiarity:
    return Familiarity.fit([each.query for each in log], [each.hash for each in log], [each.hash for each in log])


@pytest.fixture(scope="module")
def known() -> Familiarity:
    return of(synthetic.log(300))


USUAL = "What is 4711 + 815? Case 0-17. Say: The answer is N."
SPANISH = "¿Cuánto es 4711 + 815? Explica cada paso y di al final: la respuesta es N."


def test_the_usual_is_not_doubted(known: Familiarity) -> None:
    assert known.doubt(synthetic.query(USUAL)) is None


def test_of_the_same_source_about_the_stated_share_is_doubted(known: Familiarity) -> None:
    fresh = synthetic.log(1000, seed=5)
    for rate in (0.01, 0.05, 0.2):
        share = np.mean([known.doubt(each.query, rate) is not None for each in fresh])
        # n + 1 = 301 training queries decide the limit: its own error is part of what may be off
        assert share <= rate + 4 * np.sqrt(rate * (1 - rate) * (1 / 300 + 1 / 1000))


def test_a_higher_rate_never_doubts_less(known: Familiarity) -> None:
    limits = [known.limit(rate) for rate in np.linspace(0.001, 0.999, 50)]
    assert limits == sorted(limits, reverse=True)


@pytest.mark.parametrize(
    ("messages", "more", "reason"),
    [
        (SPANISH, {}, "unlike_text"),
        ("def f(x):\n    return x[::-1]\nassert f('ab') == ??", {}, "unlike_text"),
        ("Write a short poem about the autumn wind over the harbour.", {}, "unlike_text"),
        ("Сколько будет 4711 + 815? Скажи: ответ N.", {}, "unlike_script"),
        ("4711 加 815 等于多少?请逐步说明,最后给出答案。", {}, "unlike_script"),
        (USUAL * 40, {}, "unlike_length"),
        ("?", {}, "unlike_length"),
        (USUAL, {"tools": ({"type": "function", "function": {"name": "add"}},)}, "tools"),
        ([{"type": "text", "text": USUAL}, {"type": "image_url", "image_url": {"url": "x"}}], {}, "images"),
        ([{"type": "text", "text": USUAL}, {"type": "input_audio", "input_audio": {}}], {}, "audio"),
    ],
)
def test_what_is_unlike_is_told_why(known: Familiarity, messages: Any, more: dict[str, Any], reason: str) -> None:
    query = dataclasses.replace(Query(id="q", messages=({"role": "user", "content": messages},)), **more)
    doubt = known.doubt(query)
    assert doubt is not None
    assert doubt.reason == reason
    assert doubt.detail
    assert known.doubt(query, 0) is None


def test_what_training_had_is_not_strange() -> None:
    tools = ({"type": "function", "function": {"name": "add"}},)
    log = tuple(
        dataclasses.replace(each, query=dataclasses.replace(each.query, tools=tools)) for each in synthetic.log(60)
    )
    assert of(log).doubt(synthetic.query(USUAL, tools=tools)) is None


@pytest.mark.parametrize("n", [1, 2, 3, 12, 50])
def test_small_logs_will_do(n: int) -> None:
    log = synthetic.log(n)
    known = of(log)
    assert [known.doubt_of(each.query, each.hash) for each in log] == [None] * n or n >= 100
    assert known.doubt(synthetic.query("Schreibe ein Gedicht über den Herbst und den Wind.")) is not None or n < 12


@pytest.mark.parametrize("content", ["", " ", None, [], [{"type": 3}], ["x"], [None], "\ud800", "x" * 200_000, "é" * 9])
def test_odd_queries_get_an_answer(known: Familiarity, content: Any) -> None:
    known.doubt(Query(id="q", messages=({"role": "user", "content": content},)))


def test_it_is_kept_with_the_scorer(scorer: Scorer, log: tuple[LoggedQuery, ...]) -> None:
    known = of(log)
    again = Familiarity.load(known.dump())
    assert again.own == known.own
    for text in (USUAL, SPANISH):
        assert (
            scorer.doubt(synthetic.query(text))
            == again.doubt(synthetic.query(text))
            == known.doubt(synthetic.query(text))
        )
    assert scorer.report["unlike"]["rate"] == RATE
    assert scorer.doubts_log(log).mean() == scorer.report["unlike"]["share"] <= 2 * RATE
    assert not scorer.doubts_log(log, 0).any()


def test_a_conversation_does_not_vouch_for_itself() -> None:
    log = synthetic.log(100)
    odd = "Write a poem about the autumn wind over the harbour, {}."
    strange = [dataclasses.replace(log[0].query, messages=({"role": "user", "content": odd.format(i)},)) for i in "abc"]
    queries = [*(each.query for each in log), *strange]
    hashes = [str(index) for index in range(len(queries))]
    alone = Familiarity.fit(queries, hashes, [*hashes[:-3], "talk", "talk", "talk"])
    assert min(alone.own[key] for key in hashes[-3:]) > np.quantile(alone.oddities, 0.95)

"""Expectations before a call and beliefs after some: probabilities, out of fold, one fate for equal conclusions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.answer import Answer
from scorer.dataset import LoggedQuery
from scorer.errors import ScorerError, UnknownModel
from scorer.scoring import Scorer
from tests.unit.scorer import synthetic

MODELS = list(synthetic.SKILLS)
UNSEEN = synthetic.log(60, seed=9)


def said(query: LoggedQuery, model: str) -> Answer:
    return query.answers[model].answer


def test_columns_are_the_models_in_order(scorer: Scorer) -> None:
    assert scorer.columns == tuple(sorted(MODELS))


def test_expectations_of_one_query_are_those_of_a_log(scorer: Scorer) -> None:
    p, tokens = scorer.expect_log(UNSEEN)
    assert p.shape == tokens.shape == (60, 3)
    for row, query in enumerate(UNSEEN):
        each = scorer.expect(query.query)
        assert [each[model].p_good for model in scorer.columns] == pytest.approx(p[row], abs=1e-6)
        assert [each[model].completion_tokens for model in scorer.columns] == pytest.approx(tokens[row], rel=1e-6)


def test_expectations_know_the_better_model_and_the_usual_length(scorer: Scorer) -> None:
    p, tokens = scorer.expect_log(UNSEEN)
    small, large = (scorer.columns.index(model) for model in ("small", "large"))
    assert p[:, large].mean() > p[:, small].mean() + 0.2
    assert tokens == pytest.approx(np.full(tokens.shape, 10.0), rel=0.05)  # every logged answer took ten


def test_trained_queries_are_expected_and_believed_out_of_fold(scorer: Scorer, log: tuple[LoggedQuery, ...]) -> None:
    p, _ = scorer.expect_log(log)
    served = np.array([[scorer.expect(query.query)[model].p_good for model in scorer.columns] for query in log])
    assert not np.allclose(p, served)
    beliefs = scorer.believe_log(log, ["small"])
    alone = np.array([scorer.believe(query.query, [said(query, "small")])["small"] for query in log])
    assert not np.allclose(beliefs[:, scorer.columns.index("small")], alone)


@given(st.integers(0, 59), st.lists(st.sampled_from(MODELS), unique=True))
def test_beliefs_of_one_request_are_those_of_a_log(scorer: Scorer, row: int, context: list[str]) -> None:
    query = UNSEEN[row]
    each = scorer.believe(query.query, [said(query, model) for model in context])
    beliefs = scorer.believe_log([query], context)
    assert [each[model] for model in scorer.columns] == pytest.approx(beliefs[0], abs=1.1e-6)
    assert ((beliefs > 0) & (beliefs < 1)).all()
    assert scorer.believe(query.query, [said(query, model) for model in context[::-1]]) == each


def test_without_answers_beliefs_are_expectations(scorer: Scorer) -> None:
    assert np.array_equal(scorer.believe_log(UNSEEN, []), scorer.expect_log(UNSEEN)[0])


def test_equal_conclusions_share_their_fate(scorer: Scorer) -> None:
    shared = 0
    for query in UNSEEN:
        beliefs = scorer.believe(query.query, [said(query, "small"), said(query, "middle"), said(query, "large")])
        same = said(query, "small").text.rsplit(" ", 1)[1] == said(query, "large").text.rsplit(" ", 1)[1]
        assert (beliefs["small"] == beliefs["large"]) == same
        shared += same
    assert shared > 10


def test_a_stranger_says_nothing_and_an_answer_that_is_missing_is_named(scorer: Scorer) -> None:
    query = UNSEEN[0]
    stranger = synthetic.answer("stranger", "The answer is 4.")
    assert scorer.believe(query.query, [stranger]) == scorer.believe(query.query, [])
    with pytest.raises(UnknownModel):
        scorer.believe_log([query], ["stranger"])
    lacking = replace(query, answers={"small": query.answers["small"]}, labels={"small": 1.0})
    with pytest.raises(ScorerError, match="has no answer of large"):
        scorer.believe_log([lacking], ["large"])


@given(st.text(max_size=200))
def test_any_query_and_any_answer_will_do(scorer: Scorer, text: str) -> None:
    asked = synthetic.query(text)
    assert all(0 < each.p_good < 1 and each.completion_tokens > 0 for each in scorer.expect(asked).values())
    assert all(0 < p < 1 for p in scorer.believe(asked, [synthetic.answer("small", text)]).values())

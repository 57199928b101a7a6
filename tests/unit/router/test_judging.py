"""What becomes of a scorer's answer, and of its failure to answer."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.judging import doubt_of, score_of
from scorer.answer import Answer, Expectation, Query
from scorer.errors import ScorerError, UnknownModel
from scorer.familiarity import Doubt

QUERY = Query(id="q", messages=({"role": "user", "content": "hi"},))
ANSWER = Answer(model="small", text="hello")


class Saying:
    """A scorer that says this of everything, or raises it."""

    version = "stub"

    def __init__(self, said: float | Exception) -> None:
        self.said = said

    def _say(self) -> float:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def doubt(self, query: Query, rate: float) -> Doubt | None:
        return None

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        return self._say()

    def expect(self, query: Query) -> Mapping[str, Expectation]:
        return {"small": Expectation(p_good=self._say(), completion_tokens=1.0)}

    def believe(self, query: Query, answers: Sequence[Answer]) -> Mapping[str, float]:
        return {}


@pytest.mark.parametrize(
    ("said", "score", "why"),
    [
        (0.7, 0.7, None),
        (float("nan"), None, "scorer_failed"),
        (1.5, None, "scorer_failed"),
        (ScorerError("no"), None, "scorer_failed"),
        (UnknownModel("who?"), None, "unknown_model"),
        (ZeroDivisionError(), None, "scorer_failed"),
    ],
)
def test_a_score_that_cannot_be_trusted_is_none_and_says_why(
    said: float | Exception, score: float | None, why: str | None
) -> None:
    assert score_of(Saying(said), QUERY, ANSWER, ()) == (score, why)


def test_without_a_scorer_there_is_no_score() -> None:
    assert score_of(None, QUERY, ANSWER, ()) == (None, "no_scorer")


@given(st.lists(st.floats(0, 1) | st.none(), max_size=4))
def test_doubt_is_what_the_best_answer_so_far_leaves_of_it(scores: list[float | None]) -> None:
    known = [score for score in scores if score is not None]
    assert doubt_of(Saying(0.25), QUERY, scores, ["small"]) == (1 - max(known) if known else 0.75)


@pytest.mark.parametrize("scorer", [None, object(), Saying(ZeroDivisionError()), Saying(float("nan"))])
def test_who_says_nothing_before_an_answer_leaves_all_doubt(scorer: object) -> None:
    assert doubt_of(scorer, QUERY, [None], ["small"]) == 1.0
    assert doubt_of(Saying(0.9), QUERY, [], ["another"]) == 1.0

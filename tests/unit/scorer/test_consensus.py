"""Which of several answers most of the others agree with."""

import pytest

from scorer.answer import Answer, Query
from scorer.consensus import most_agreed

QUERY = Query(id="q", messages=({"role": "user", "content": "What is 6 times 7?"},))


def place(*texts: str) -> int:
    return most_agreed(QUERY, [Answer(model="small", text=text) for text in texts])


def test_what_most_conclude_wins_by_its_first_answer() -> None:
    assert place("The answer is 41.", "The answer is 42.", "So the answer is 42.") == 1
    assert place("The answer is 41.", "The answer is 42.") == 0


def test_an_answer_that_concludes_nothing_has_no_vote() -> None:
    assert place("", "", "The answer is 42.") == 2
    assert place("", "") == 0


def test_of_no_answers_none_is_agreed_on() -> None:
    with pytest.raises(ValueError, match="no answers"):
        place()

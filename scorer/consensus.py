"""Which of several answers to one query most of the others agree with. Knows conclusions; knows nothing fitted."""

from collections import Counter
from collections.abc import Sequence

from scorer.answer import Answer, Query
from scorer.features.analysis import analyse
from scorer.features.query import read_query


def most_agreed(query: Query, answers: Sequence[Answer]) -> int:
    """The place of the first answer whose conclusion the most answers share (self-consistency); 0 where none concludes.

    Raises ValueError where there are no answers.
    """
    if not answers:
        raise ValueError("there are no answers to agree")
    reading = read_query(query)
    conclusions = [analyse(reading, answer).conclusion for answer in answers]
    votes = Counter(conclusion for conclusion in conclusions if conclusion is not None)
    if not votes:
        return 0
    return conclusions.index(max(votes, key=lambda conclusion: (votes[conclusion], -conclusions.index(conclusion))))

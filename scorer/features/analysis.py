"""One answer's features, and what is kept of it to compare it with other answers. Computed once per answer.

Knows which modules measure an answer: a new one is a line in ANSWER_BLOCKS. Knows nothing fitted and no other answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scorer.answer import Answer
from scorer.features import checks, logprobs, text
from scorer.features.query import QueryReading
from scorer.features.reading import Reading, read_answer


class Block(NamedTuple):
    """Some features of an answer: their names, and what measures them in that order."""

    names: tuple[str, ...]
    measure: Callable[[Reading], tuple[float, ...]]


ANSWER_BLOCKS = (
    Block(text.NAMES, text.measure),
    Block(checks.NAMES, checks.measure),
    Block(logprobs.NAMES, logprobs.measure),
)
ANSWER_NAMES = tuple(name for block in ANSWER_BLOCKS for name in block.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """An answer as the models see it.

    values : (len(ANSWER_NAMES),), nan where a feature does not apply.
    conclusion : canonical final answer; equal for answers that conclude the same, None if none was found.
    """

    model: str
    values: NDArray[np.float32]
    conclusion: str | None


def analyse(query: QueryReading, answer: Answer) -> Analysis:
    """Measure an answer in the light of its query."""
    reading = read_answer(query, answer)
    values = [value for block in ANSWER_BLOCKS for value in block.measure(reading)]
    conclusion = reading.conclusion
    return Analysis(
        model=answer.model,
        values=np.asarray(values, dtype=np.float32),
        conclusion=None if conclusion is None else f"{conclusion.value.kind}:{conclusion.value.key}",
    )

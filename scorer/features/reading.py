"""An answer, read once: everything that the feature modules share, so that nothing is parsed twice.

Knows the order of the work. Knows no feature's meaning and nothing fitted.
"""

import re
from dataclasses import dataclass

from scorer.answer import Answer
from scorer.features.canonical import number_key
from scorer.features.extract import Conclusion, conclude, parsed_json
from scorer.features.query import NUMBER, QueryReading, clipped

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the feature modules look at. Texts are clipped to a bounded length; ``n_chars`` is the full one."""

    query: QueryReading
    answer: Answer
    text: str
    lower: str
    words: tuple[str, ...]  # lower case, in order
    numbers: tuple[str, ...]  # canonical, in order
    json_strictness: float
    conclusion: Conclusion | None
    n_chars: int

    @property
    def reasoning(self) -> str:
        """What stands before the conclusion; the whole text where there is none."""
        return self.text if self.conclusion is None else self.text[: self.conclusion.start]


def read_answer(query: QueryReading, answer: Answer) -> Reading:
    """Read an answer in the light of its query. Any text will do; the time is bounded whatever its length."""
    text = clipped(answer.text)
    parsed, strictness = parsed_json(text)
    lower = text.lower()
    return Reading(
        query=query,
        answer=answer,
        text=text,
        lower=lower,
        words=tuple(_WORD.findall(lower)),
        numbers=tuple(map(number_key, NUMBER.findall(text))),
        json_strictness=strictness,
        conclusion=conclude(query, text, answer.tool_calls, parsed),
        n_chars=len(answer.text),
    )

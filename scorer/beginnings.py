"""The beginnings of answers: what a stream has said so far, at the few lengths at which it is judged.

Knows answers. Knows nothing fitted.
"""

from dataclasses import replace

from scorer.answer import Answer

LENGTHS = (100, 200, 400, 800, 1600)
"""In characters, ascending."""


def beginning(answer: Answer, length: int) -> Answer | None:
    """The answer when ``length`` characters of it were there; None where that was never the case before its end.

    Log-probabilities are left out, since most streams have none; an answer that calls tools has no beginning here.
    """
    if answer.tool_calls or len(answer.text) <= length:
        return None
    return replace(answer, text=answer.text[:length], finish_reason=None, token_logprobs=None)

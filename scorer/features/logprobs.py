"""How sure the answering model was of its own words, token by token.

Knows the log-probabilities of the chosen tokens. Where a backend gives none every value is missing (nan), and
``logprobs_given`` says so; nothing is made up.
"""

from math import log1p, nan

import numpy as np

from scorer.features.reading import Reading

NAMES = (
    *("logprobs_given", "logprob_mean", "logprob_min", "logprob_p05", "logprob_p25", "logprob_std"),
    *("logprob_unsure_share", "logprob_log_unsure", "logprob_tail_mean", "logprob_tail_min", "logprob_total"),
)

_TAIL_TOKENS = 12  # a conclusion stands at the end
_UNSURE = -0.69  # a token chosen with less than even odds
_MOST_TOKENS = 32_768


def measure(reading: Reading) -> tuple[float, ...]:
    """Values named by NAMES."""
    given = reading.answer.token_logprobs
    if not given:
        return (0.0, *(nan,) * (len(NAMES) - 1))
    # a backend may report -inf or -9999 for a token outside its own top list
    values = np.maximum(np.asarray(given[-_MOST_TOKENS:], dtype=np.float64), -25.0)
    p05, p25 = np.quantile(values, (0.05, 0.25))
    unsure = float(np.count_nonzero(values < _UNSURE))
    tail = values[-_TAIL_TOKENS:]
    return (
        1.0,
        float(values.mean()),
        float(values.min()),
        float(p05),
        float(p25),
        float(values.std()),
        unsure / values.size,
        log1p(unsure),
        float(tail.mean()),
        float(tail.min()),
        -log1p(-float(values.sum())),
    )

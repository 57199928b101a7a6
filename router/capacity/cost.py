"""What tokens from one's own accelerators cost, and how busy these must be to beat an API.

Knows hours, rates and utilisation. Amounts are estimates in US dollars, not ledger entries.
"""

from dataclasses import dataclass

from router.errors import CapacityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A typical request: tokens of its prompt and of its answer."""

    prompt: int
    answer: int


def usd_per_million_answer_tokens(usd_per_hour: float, decode_tokens_per_s: float, utilisation: float) -> float:
    """Where all the accelerators' time is laid on the tokens that are made, at this share of the possible speed."""
    return usd_per_hour / (decode_tokens_per_s * utilisation * 3600) * 1e6


def usd_per_request(
    usd_per_hour: float, decode_tokens_per_s: float, prefill_tokens_per_s: float, traffic: Traffic, utilisation: float
) -> float:
    """Reading the prompt and writing the answer take turns on the accelerators; idle time is laid on both."""
    busy_s = traffic.prompt / prefill_tokens_per_s + traffic.answer / decode_tokens_per_s
    return usd_per_hour / 3600 * busy_s / utilisation


def api_usd_per_request(usd_per_million: tuple[float, float], traffic: Traffic) -> float:
    """usd_per_million : of prompt tokens, of answer tokens."""
    return (usd_per_million[0] * traffic.prompt + usd_per_million[1] * traffic.answer) / 1e6


def break_even(own_usd_at_full: float, api_usd: float) -> float | None:
    """The utilisation from which one's own is the cheaper; None if it is not even when always busy.

    Raises CapacityError for an API that costs nothing.
    """
    if api_usd <= 0:
        raise CapacityError("--api-price: must be above zero")
    utilisation = own_usd_at_full / api_usd
    return utilisation if utilisation <= 1 else None

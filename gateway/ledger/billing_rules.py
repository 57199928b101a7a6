"""What providers bill for calls that did not end well, as data; a configuration may say otherwise.

``hung_up``: the client went away, or the connection died, while the answer was under way.
``server_error``: the provider answered with a status of 5xx.

``free``: nothing is billed. ``estimate``: the prompt, what was heard of the answer, and a little that was under way;
only for streams, where something can be heard: else the bound. ``bound``: all that the call could cost.
Knows names of providers. Knows no amount.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Billed = Literal["free", "estimate", "bound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingRule:
    """Of one provider."""

    hung_up: Billed = "estimate"
    server_error: Literal["free", "bound"] = "bound"


ANYBODY = BillingRule()
"""Engines stop when nobody listens, and bill until then; whether a failure is billed is not known."""

RULES: Mapping[str, BillingRule] = {
    "openai": BillingRule(server_error="free"),
    "azure": BillingRule(server_error="free"),
    "anthropic": BillingRule(server_error="free"),
    "gemini": BillingRule(hung_up="bound", server_error="free"),  # what it generates to the end is billed
    "vertex_ai": BillingRule(hung_up="bound", server_error="free"),
    "bedrock": BillingRule(hung_up="bound"),
    "recorded": BillingRule(hung_up="free", server_error="free"),
}


def rule_for(provider: str | None, rules: Mapping[str, BillingRule]) -> BillingRule:
    """The configured one, else the known one, else anybody's."""
    name = provider or ""
    return rules.get(name) or RULES.get(name) or ANYBODY

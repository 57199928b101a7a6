"""What providers bill for calls that did not end well, as data; a configuration may say otherwise.

``hung_up``: the client went away, or the connection died, while the answer was under way.
``server_error``: the provider answered with a status of 5xx.

``free``: nothing is billed. ``estimate``: the prompt, what was heard of the answer, and a little that was under way;
only for streams, where something can be heard: else the bound. ``bound``: all that the call could cost. ``drain``: the
provider bills what it makes to the end, whoever listens, so the call is read to its end, to learn how much that is;
where that is not possible, it is as ``bound``.

These are assumptions of ours, not quoted from a contract or a page; hold them against a bill (``spillway reconcile``)
and say otherwise in the configuration where they are wrong: OpenAI, Azure and Anthropic are taken to stop generating
when the connection closes and to bill what was generated; Google and Bedrock to bill the whole answer; none of them
to bill errors of 5xx.
Knows names of providers. Knows no amount.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Billed = Literal["free", "estimate", "bound", "drain"]


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
    "gemini": BillingRule(hung_up="drain", server_error="free"),
    "vertex_ai": BillingRule(hung_up="drain", server_error="free"),
    "bedrock": BillingRule(hung_up="drain"),
    "recorded": BillingRule(hung_up="free", server_error="free"),
}


def rule_for(provider: str | None, rules: Mapping[str, BillingRule]) -> BillingRule:
    """The configured one, else the known one, else anybody's."""
    name = provider or ""
    return rules.get(name) or RULES.get(name) or ANYBODY

"""What the calls of a request cost, and who bills for them. Knows no request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.ledger.billing_rules import BillingRule, rule_for
from router.pricing import PriceBook
from router.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What holds for a request from its beginning to its end.

    output_limits : by model, how many tokens an answer can have at most (a documented limit, or the context length).
        Where neither it nor the request bounds an answer, an attempt is opened without a reserved amount.
    providers : by model, who bills for it.   rules : by provider, where it bills otherwise than is known of it.
    tokenizers : by model, what counts its tokens where it tells none.
    """

    prices: PriceBook
    output_limits: Mapping[str, int] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, BillingRule] = field(default_factory=dict)
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)

    @property
    def drained(self) -> frozenset[str]:
        """The models whose calls are read to their end although nobody waits for them any more."""
        billed = {model: rule_for(provider, self.rules) for model, provider in self.providers.items()}
        return frozenset(model for model, rule in billed.items() if rule.hung_up == "drain")

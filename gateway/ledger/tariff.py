"""What the calls of a request cost, and who bills for them. Knows no request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.ledger.billing import reserve
from gateway.ledger.billing_rules import BillingRule, rule_for
from gateway.ledger.bounds import CallBound, call_bound
from router.mixture import Mixture
from router.pricing import PriceBook
from router.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What holds for a request from its beginning to its end.

    output_limits : by model, how many tokens an answer can have at most (a documented limit, or the context length).
        Where neither it nor the request bounds an answer, an attempt is opened without a reserved amount.
    providers : by model, who bills for it.   rules : by provider, where it bills otherwise than is known of it.
    tokenizers : by model, what counts its tokens where it tells none.
    lacking : by model, what it was seen to do without; it may change while this is in use.
    contexts : by model, how many tokens prompt and answer have at most together, as the configuration says.
    mixtures : by name, the models that take several calls.
    """

    prices: PriceBook
    output_limits: Mapping[str, int] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, BillingRule] = field(default_factory=dict)
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)
    contexts: Mapping[str, int] = field(default_factory=dict)
    mixtures: Mapping[str, Mixture] = field(default_factory=dict)

    def bounded(self, bound: CallBound, model: str) -> CallBound:
        """The bounds of a call of this model: those of the call, and the model's own limit of its answers.

        A model that was seen to write on beyond the limit it was told is bounded by its context alone.
        """
        if "output_limit" in self.lacking.get(model, ()):
            return replace(bound, output_tokens=self.contexts.get(model))
        return replace(bound, output_tokens=bound.output_limit(self.output_limits.get(model)))

    def most_nanousd(self, body: Mapping[str, Any], bound: CallBound, model: str) -> int | None:
        """The most that an answer of a model can cost now, with all its calls; None where nothing bounds it."""
        mixture = self.mixtures.get(model)
        calls = [(model, bound)]
        if mixture is not None:
            calls = [(name, call_bound(asked)) for name, asked in mixture.calls(body)]
        bounds = [reserve(self.bounded(each, name), self.prices.price(name)) for name, each in calls]
        return None if None in bounds else sum(bound for bound in bounds if bound is not None)

    @property
    def drained(self) -> frozenset[str]:
        """The models whose calls are read to their end although nobody waits for them any more."""
        billed = {model: rule_for(provider, self.rules) for model, provider in self.providers.items()}
        return frozenset(model for model, rule in billed.items() if rule.hung_up == "drain")

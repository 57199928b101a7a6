"""What the calls of a request cost, and who bills for them. Knows no request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.ledger.billing_rules import BillingRule
from router.pricing import PriceBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What holds for a request from its beginning to its end.

    output_limits : by model, how many tokens an answer can have at most (a documented limit, or the context length).
        Where neither it nor the request bounds an answer, an attempt is opened without a reserved amount.
    providers : by model, who bills for it.   rules : by provider, where it bills otherwise than is known of it.
    """

    prices: PriceBook
    output_limits: Mapping[str, int] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, BillingRule] = field(default_factory=dict)

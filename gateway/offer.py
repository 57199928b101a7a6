"""Everything that one configuration offers, loaded and ready: policies, models' deployments, prices.

Knows what is loaded from a configuration, and what of it can go on when the next one comes. Serves nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.canary import Canary
from gateway.config.mixtures import mixtures_of
from gateway.config.models import called_alike, output_limits, pools_of, providers, tokenizers_of
from gateway.config.prices import price_book
from gateway.config.settings import Settings
from gateway.ledger.billing_rules import BillingRule
from gateway.ledger.tariff import Tariff
from gateway.policies import PolicyBook, load_policies
from router.backends.pool import Pool
from router.judging import AnswerScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One configuration, loaded."""

    settings: Settings
    policies: PolicyBook
    pools: Mapping[str, Pool]
    tariff: Tariff


def load_offer(
    settings: Settings,
    load_scorer: Callable[[Path], AnswerScorer],
    before: Offer | None = None,
    lacking: Mapping[str, frozenset[str]] | None = None,
    tried: Mapping[str, Canary] | None = None,
) -> Offer:
    """Load what a configuration names. Raises ConfigError where strategies, scorers, prices or logs do not fit it.

    load_scorer : makes a scorer of an artifact's folder.
    before : what is served until now; the pools of models that are called as before go on, breakers and all.
    lacking : by model, what it was seen to do without; it may change later.
    tried : by policy, canaries that were set meanwhile; it may change later, too.
    """
    policies = load_policies(settings, load_scorer, lacking, tried)
    tariff = tariff_of(settings, lacking)
    same = frozenset() if before is None else called_alike(before.settings, settings)
    kept = {} if before is None else {name: pool for name, pool in before.pools.items() if name in same}
    return Offer(
        settings=settings,
        policies=policies,
        pools=pools_of(settings, kept),
        tariff=tariff,
    )


def tariff_of(settings: Settings, lacking: Mapping[str, frozenset[str]] | None = None) -> Tariff:
    """What calls cost, and who bills for them. Raises ConfigError.   lacking : see ``load_offer``."""
    return Tariff(
        prices=price_book(settings),
        output_limits=output_limits(settings),
        providers=providers(settings),
        rules={
            provider: BillingRule(hung_up=rule.hung_up, server_error=rule.server_error)
            for provider, rule in settings.ledger.billing.items()
        },
        tokenizers=tokenizers_of(settings),
        lacking={} if lacking is None else lacking,
        mixtures=mixtures_of(settings),
        contexts={model.name: model.context_tokens for model in settings.models if model.context_tokens},
    )

"""What the configuration of the moment says beside the ledger: models, policies, prices, what runs where.

Knows what an offer holds. Knows no page and no HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.prices import gpu_bills
from gateway.offer import Offer
from router.judging import AnswerScorer
from router.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """One policy. strategy : None in observe mode.   canary : a second one, on a part of the conversations.

    canary_written : whether it stands in the configuration, where alone it can be ended.
    """

    name: str
    safe_model: str
    strategy: Strategy | None = None
    canary: Strategy | None = None
    canary_share: float = 0.0
    canary_written: bool = False
    unlike_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """One place where a model runs, as this process sees it now."""

    model: str
    name: str
    running: int
    waiting: int
    most_at_once: int | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """undated : models whose price says neither from when nor until when it holds.   unpriced : models without one.

    hourly_nanousd : by provider, what its self-hosted capacity costs.   providers : by model, whose bill it comes on.
    scorers : by version, those that judge now.
    """

    models: tuple[str, ...] = ()
    policies: tuple[PolicyFacts, ...] = ()
    undated: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    deployments: tuple[DeploymentFacts, ...] = ()
    hourly_nanousd: Mapping[str, int] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    scorers: Mapping[str, AnswerScorer] = field(default_factory=dict)


def facts_of(offer: Offer) -> Facts:
    """What an offer says."""
    named = [model.name for model in offer.settings.models]
    prices = {name: [price for price in offer.tariff.prices if price.model == name] for name in named}
    undated = [
        name
        for name, listed in prices.items()
        if listed and all(price.effective_from is None and price.effective_until is None for price in listed)
    ]
    deployments = [
        DeploymentFacts(
            model=model,
            name=one.name,
            running=one.running,
            waiting=pool.waiting,
            most_at_once=pool.rules.most_at_once,
            state=one.breaker.state.replace("_", " "),
        )
        for model, pool in offer.pools.items()
        for one in pool.deployments
    ]
    return Facts(
        models=tuple(named),
        policies=tuple(
            PolicyFacts(
                name=policy.name,
                safe_model=policy.safe_model,
                strategy=policy.strategy,
                canary=None if canary is None else canary.strategy,
                canary_share=0.0 if canary is None else canary.share,
                canary_written=policy.canary is not None,
                unlike_rate=policy.unlike_rate,
            )
            for policy, canary in ((policy, offer.policies.canary_of(policy)) for policy in offer.policies)
        ),
        undated=tuple(undated),
        unpriced=tuple(name for name, listed in prices.items() if not listed),
        deployments=tuple(deployments),
        hourly_nanousd=gpu_bills(offer.settings),
        providers=dict(offer.tariff.providers),
        scorers={policy.scorer.version: policy.scorer for policy in offer.policies if policy.scorer is not None},
    )

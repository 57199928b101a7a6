"""`spillway check-config`: what a configuration will serve, in words.

Loads everything that serving loads, so that what passes here starts there. Calls no model and touches no database.
"""

from collections.abc import Iterator

from gateway.config.models import pools_of
from gateway.config.prices import price_book
from gateway.config.settings import Settings
from gateway.config.upstreams import MixtureSettings
from gateway.policies import Policy, PolicyBook, load_policies
from router.pricing import Price
from router.strategy import Strategy


def describe(settings: Settings) -> Iterator[str]:
    """Line by line. Raises ConfigError for what cannot be served."""
    policies, prices = load_policies(settings), price_book(settings)
    pools_of(settings)
    server = settings.server
    yield f"{settings.path} is right. It serves on http://{server.host}:{server.port}"
    yield f"  keys {'required' if settings.auth.required else 'not required'}, cache {_cache(settings)}"
    yield "models"
    for model in settings.models:
        where = f" at {model.base_url}" if model.base_url else ""
        several = f" in {len(model.deployments)} deployments" if len(model.deployments) > 1 else ""
        what = model.backend if model.mixture is None else _mixture(model.mixture)
        yield f"  {model.name}: {what}{where}{several}, {_price(prices.price(model.name))}"
    yield "policies"
    yield from _policies(policies)


def _mixture(mixture: MixtureSettings) -> str:
    least, most = mixture.least or len(mixture.proposers), len(mixture.proposers)
    asked = str(most) if least == most else f"{least} to {most}"
    return f"made by {mixture.aggregator} of {asked} proposals ({', '.join(mixture.proposers)})"


def _cache(settings: Settings) -> str:
    return f"of {settings.cache.max_entries} entries" if settings.cache.enabled else "off"


def _price(price: Price | None) -> str:
    if price is None:
        return "price unknown: its costs will be recorded as unknown; give it a `price`"
    return f"{price.rates['input']:f} USD in and {price.rates['output']:f} USD out per million tokens"


def _policies(policies: PolicyBook) -> Iterator[str]:
    for policy in policies:
        named = f"cascade/{policy.name}{', auto' if policies.default == policy.name else ''}"
        yield f"  {named}: {_strategy(policy, policy.strategy)}"
        if policy.canary is not None:
            yield f"    a canary on {policy.canary.share:.0%} of conversations: "
            f"{_strategy(policy, policy.canary.strategy)}"
        if policy.strategy is not None and policy.strategy.certificate is not None:
            certificate = policy.strategy.certificate
            yield f"    certified {certificate.date} on {certificate.n} queries: {certificate.controlled}"
    if policies.default is None:
        yield "  auto is not served: there is no policy"


def _strategy(policy: Policy, strategy: Strategy | None) -> str:
    if strategy is None:
        return f"observes; {policy.safe_model} answers"
    plan = strategy.plan
    if plan is not None:
        models, worth = ", ".join(plan.models), f"{plan.exchange:.4g} of quality per USD"
        asks = "up to " + str(plan.depth) if strategy.kind == "cascade_route" else "one"
        return f"asks {asks} of {models}, at {worth}; {policy.safe_model} answers where nothing can be believed"
    stages = " → ".join(
        stage.model if stage.threshold is None else f"{stage.model} (score ≥ {stage.threshold:.3f})"
        for stage in strategy.stages
    )
    entry = "" if strategy.entry is None else f", entered by {len(strategy.entry.skips)} of the scorer's categories"
    return f"{stages}{entry}; {policy.safe_model} answers where no score can be given"

"""Which strategy answers a request: by the name it asks for and by what the tiers can do.

Knows policies, strategies, scorers and limits. Calls no model and holds no state.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gateway.cache.rules import CacheMode
from gateway.capabilities import Limits, Needs, needs_of
from gateway.config.models import hints_of
from gateway.config.settings import PolicySettings, Settings
from gateway.config.verifiers import gate_of
from gateway.errors import ConfigError, ModelNotFound, NoCapableModel
from router.cascade import AnswerScorer, single
from router.certificate import Certificate
from router.errors import StrategyError
from router.strategy import Strategy
from router.verifiers.gate import Gate
from scorer.errors import ScorerError
from scorer.scoring import Scorer

WhenUnaffordable = Literal["best_answer", "refuse"]

AUTO = "auto"
PREFIX = "cascade/"
_SHOWN = 128  # characters of a name that is none; no name that is served is longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a request for ``cascade/<name>`` is answered. strategy : None is observe mode, the safe model answers."""

    name: str
    safe_model: str
    strategy: Strategy | None
    scorer: AnswerScorer | None
    cache: CacheMode
    unlike_rate: float = 0.0
    when_unaffordable: WhenUnaffordable = "best_answer"
    gate: Gate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What answers one request.

    policy : None where a model was asked for by its own name.
    strategy : the stages that can serve this request, at least one.
    tiers : the models of the policy's whole strategy, by which an answer's tier is told.
    """

    policy: str | None
    strategy: Strategy
    scorer: AnswerScorer | None
    cache: CacheMode
    tiers: tuple[str, ...]
    unlike_rate: float = 0.0  # see router.cascade.AnswerScorer.doubt
    gate: Gate | None = None
    fallbacks: tuple[str, ...] = ()  # asked where the last stage cannot answer
    when_unaffordable: WhenUnaffordable = "best_answer"

    def tier(self, model: str) -> int:
        """The model's 1-based tier; a safe model outside the strategy comes after its last."""
        return self.tiers.index(model) + 1 if model in self.tiers else len(self.tiers) + 1


class PolicyBook:
    """Every name that can be asked for.

    default : the policy behind ``auto``, None if there is none.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        default: str | None,
        models: Mapping[str, Limits],
        fallbacks: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._policies = {policy.name: policy for policy in policies}
        self.default, self._models, self._fallbacks = default, dict(models), dict(fallbacks or {})

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies.values())

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """What is certified of the strategies in use, by strategy id."""
        strategies = [policy.strategy for policy in self if policy.strategy is not None]
        return {strategy.id: strategy.certificate for strategy in strategies if strategy.certificate is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """``auto``, the policies, then the models: everything that may stand in a request's ``model``."""
        virtual = [PREFIX + name for name in self._policies]
        return (*([AUTO] if self.default else []), *virtual, *self._models)

    def choose(self, requested: str, body: Mapping[str, object]) -> Choice:
        """Raises ModelNotFound for a name that is not served, NoCapableModel if no tier can do what the body asks."""
        needs = needs_of(body)
        if requested in self._models:  # a name asked for is a wish: the provider itself refuses what it cannot do
            serves = self._models[requested].serves
            if serves != needs.serves:
                said = f"The model {requested!r} serves {serves}, and this asks for {needs.serves}."
                raise NoCapableModel(said, param="model")
            return self._with_fallbacks(_plain(requested), needs)
        name = self.default if requested == AUTO else requested.removeprefix(PREFIX)
        policy = self._policies.get(name or "") if requested == AUTO or requested.startswith(PREFIX) else None
        if policy is None:
            raise ModelNotFound(
                f"The model {requested[:_SHOWN]!r} does not exist here; there are: {', '.join(self.names)}.",
                param="model",
            )
        return self._with_fallbacks(self._able(policy, needs), needs)

    def _with_fallbacks(self, choice: Choice, needs: Needs) -> Choice:
        """With those fallbacks of its last model that can serve the request and are not asked anyway."""
        asked = {*(stage.model for stage in choice.strategy.stages), choice.strategy.safe_model}
        named = self._fallbacks.get(choice.strategy.stages[-1].model, ())
        able = (model for model in named if model not in asked and self._models[model].why_not(needs) is None)
        return replace(choice, fallbacks=tuple(able))

    def dropped(self, model: str, body: Mapping[str, object]) -> tuple[str, ...]:
        """The hints of a request that a model is not told."""
        return self._models[model].dropped(body)

    def _able(self, policy: Policy, needs: Needs) -> Choice:
        whole = policy.strategy or single(policy.safe_model)
        tiers = tuple(stage.model for stage in whole.stages)
        why_not = {model: self._models[model].why_not(needs) for model in {*tiers, policy.safe_model}}
        stages = tuple(stage for stage in whole.stages if why_not[stage.model] is None)
        safe = policy.safe_model
        if why_not[safe] is not None:
            if not stages:
                told = "; ".join(f"{model} {reason}" for model, reason in sorted(why_not.items()))
                raise NoCapableModel(f"No tier of the policy {policy.name!r} can serve this request: {told}.")
            safe = stages[-1].model
        if stages:
            strategy = replace(whole, stages=stages, safe_model=safe)
        else:
            strategy = replace(single(safe), id=whole.id, reference_model=whole.reference_model)
        return Choice(
            policy=policy.name,
            strategy=strategy,
            scorer=policy.scorer,
            cache=policy.cache,
            tiers=tiers,
            unlike_rate=policy.unlike_rate,
            when_unaffordable=policy.when_unaffordable,
            gate=policy.gate,
        )


def load_policies(settings: Settings, load_scorer: Callable[[Path], AnswerScorer] = Scorer.load) -> PolicyBook:
    """Read every policy's strategy and scorer. Raises ConfigError placing what does not fit in the configuration."""
    models = {
        model.name: Limits(
            capabilities=model.capabilities,
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            hints=hints_of(model),
            serves=model.serves,
        )
        for model in settings.models
    }
    loaded: dict[Path, AnswerScorer] = {}
    policies = []
    for n, written in enumerate(settings.policies):
        scorer = None
        if written.scorer is not None:
            folder = settings.locate(written.scorer)
            try:
                scorer = loaded.get(folder) or loaded.setdefault(folder, load_scorer(folder))
            except ScorerError as error:
                raise settings.refuse(("policies", n, "scorer"), str(error)) from error
        strategy = _strategy(settings, n, written, scorer)
        policies.append(
            Policy(
                name=written.name,
                safe_model=written.safe_model,
                strategy=strategy,
                scorer=scorer,
                cache=written.cache,
                unlike_rate=written.unlike_rate,
                when_unaffordable=written.when_unaffordable,
                gate=gate_of(settings, n, written),
            )
        )
    fallbacks = {model.name: model.fallbacks for model in settings.models}
    return PolicyBook(policies, settings.default.name if settings.default else None, models, fallbacks)


def _plain(model: str) -> Choice:
    return Choice(policy=None, strategy=single(model), scorer=None, cache="deterministic", tiers=(model,))


def _strategy(settings: Settings, n: int, written: PolicySettings, scorer: AnswerScorer | None) -> Strategy | None:
    if written.strategy is None:
        return None

    def refuse(field: str, message: str) -> ConfigError:
        return settings.refuse(("policies", n, field), message)

    try:
        strategy = Strategy.load(settings.locate(written.strategy))
    except StrategyError as error:
        raise refuse("strategy", str(error)) from error
    served = {model.name for model in settings.models}
    unknown = sorted({stage.model for stage in strategy.stages} - served)
    if unknown:
        raise refuse("strategy", f"calls {', '.join(unknown)}, which models does not have; add them there")
    if strategy.needs_scorer:
        if scorer is None:
            raise refuse("scorer", f"is required by {written.strategy}; `spillway train` writes one")
        if strategy.scorer_version is not None and scorer.version != strategy.scorer_version:
            said = f"is version {scorer.version}, and {written.strategy} was chosen with {strategy.scorer_version}"
            raise refuse("scorer", f"{said}; optimize again, or name that scorer")
    return replace(strategy, safe_model=written.safe_model)

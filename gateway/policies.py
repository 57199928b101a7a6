"""Which strategy answers a request: by the name it asks for and by what the tiers can do.

Knows policies, strategies, scorers and limits. Calls no model and holds no state.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from gateway.cache.rules import CacheMode
from gateway.canary import Canary
from gateway.capabilities import Limits, Needs, needs_of
from gateway.choice import Choice, Streaming, WhenUnaffordable, of_quality
from gateway.config.identity import model_identity, verifiers_identity
from gateway.config.mixtures import mixtures_of
from gateway.config.models import hints_of
from gateway.config.settings import PolicySettings, Settings
from gateway.config.verifiers import gate_of
from gateway.conversations import Sticky
from gateway.errors import ConfigError, InvalidRequest, ModelNotFound, NoCapableModel
from gateway.shadow import Shadow
from gateway.wishes import NONE, Wishes
from router.certificate import Certificate
from router.entering import lacks
from router.errors import StrategyError
from router.judging import AnswerScorer
from router.releasing import judges_beginnings
from router.strategy import Strategy, single
from router.verifiers.gate import Gate
from scorer.errors import ScorerError
from scorer.scoring import Scorer

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
    verifiers: str = ""  # what tells its gate from another
    streaming: Streaming = "buffer"
    sticky: Sticky | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None

    def why_not_try(self, tried: Strategy, models: Collection[str]) -> str | None:
        """Why a strategy cannot be this policy's canary, in words; None if it can. models : those that are served."""
        if self.strategy is None:
            return "the policy observes: it has no strategy that another one could stand beside"
        missing = sorted({*tried.models, tried.reference_model} - set(models))
        if missing:
            return f"it asks {', '.join(missing)}, which is not served here"
        if not tried.needs_scorer:
            return None
        if self.scorer is None or self.scorer.version != tried.scorer_version:
            return f"it goes by the scores of {tried.scorer_version}, which is not the policy's scorer"
        return None


class PolicyBook:
    """Every name that can be asked for.

    default : the policy behind ``auto``, None if there is none.
    identities : by model, what tells its upstream from another.
    lacking : by model, what it was seen to do without; it may change while this is in use.
    tried : by policy, canaries beside those that policies have; it may change, too.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        default: str | None,
        models: Mapping[str, Limits],
        fallbacks: Mapping[str, tuple[str, ...]] | None = None,
        identities: Mapping[str, str] | None = None,
        lacking: Mapping[str, frozenset[str]] | None = None,
        tried: Mapping[str, Canary] | None = None,
    ) -> None:
        self._tried = {} if tried is None else tried
        self._policies = {policy.name: policy for policy in policies}
        self.default, self._models, self._fallbacks = default, dict(models), dict(fallbacks or {})
        self._identities, self._lacking = dict(identities or {}), {} if lacking is None else lacking

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies.values())

    @property
    def has_canaries(self) -> bool:
        """Whether it matters which lot a conversation draws."""
        return bool(self._tried) or any(policy.canary is not None for policy in self)

    def canary_of(self, policy: Policy) -> Canary | None:
        """The configuration's, or else the one that was set meanwhile, if that can be one."""
        if policy.canary is not None:
            return policy.canary
        tried = self._tried.get(policy.name)
        if tried is None or policy.why_not_try(tried.strategy, self._models) is not None:
            return None
        return replace(tried, strategy=replace(tried.strategy, safe_model=policy.safe_model))

    def _why_not(self, model: str, needs: Needs) -> str | None:
        return self._models[model].why_not(needs, self._lacking.get(model, frozenset()))

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """What is certified of the strategies in use, by strategy id."""
        canaries = [canary.strategy for canary in map(self.canary_of, self) if canary is not None]
        strategies = [*canaries, *(policy.strategy for policy in self if policy.strategy is not None)]
        return {strategy.id: strategy.certificate for strategy in strategies if strategy.certificate is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """``auto``, the policies, then the models: everything that may stand in a request's ``model``."""
        virtual = [PREFIX + name for name in self._policies]
        return (*([AUTO] if self.default else []), *virtual, *self._models)

    def named(self, requested: str, wishes: Wishes) -> str:
        """The name that is asked for: the one in ``model``, or the policy wished for. Raises InvalidRequest."""
        if wishes.policy is None or requested == PREFIX + wishes.policy:
            return requested
        if requested != AUTO:
            said = f"The policy {wishes.policy!r} is wished for and the model {requested[:_SHOWN]!r} asked for."
            raise InvalidRequest(f"{said} Ask for auto.", param="model", code="invalid_parameter")
        return PREFIX + wishes.policy

    def choose(self, requested: str, body: Mapping[str, object], wishes: Wishes = NONE, lot: float = 1.0) -> Choice:
        """Raises ModelNotFound for a name that is not served, NoCapableModel if no tier can do what the body asks,
        InvalidRequest for a wish that the name's policy cannot grant."""
        choice = self._chosen(requested, body, wishes, 1.0 if wishes.bounded else lot)
        choice = choice if wishes.quality is None else of_quality(choice, wishes.quality)
        asked = {*(stage.model for stage in choice.strategy.stages), choice.strategy.safe_model, *choice.fallbacks}
        served = [[model, self._identities.get(model)] for model in sorted(asked)]
        return replace(choice, served=orjson.dumps([served, choice.served]).decode())

    def _chosen(self, requested: str, body: Mapping[str, object], wishes: Wishes, lot: float) -> Choice:
        needs = needs_of(body)
        if requested in self._models:  # a name asked for is a wish: the provider itself refuses what it cannot do
            serves = self._models[requested].serves
            if serves != needs.serves:
                said = f"The model {requested!r} serves {serves}, and this asks for {needs.serves}."
                raise NoCapableModel(said, param="model")
            limits = self._models[requested] if self._models[requested].alone else Limits(serves=serves)
            silently = limits.why_not(needs, self._lacking.get(requested, frozenset()))
            if silently is not None:  # nobody else would say so
                raise NoCapableModel(f"The model {requested!r} {silently}.", param="model")
            if wishes.bounded or wishes.quality is not None:
                wish = "quality" if wishes.quality is not None else "min_tier" if wishes.min_tier else "max_tier"
                said = f"{wish} means nothing for a model asked for by its own name; ask for auto or a policy."
                raise InvalidRequest(said, param=wish, code="invalid_parameter")
            return self._with_fallbacks(_plain(requested), needs)
        name = self.default if requested == AUTO else requested.removeprefix(PREFIX)
        policy = self._policies.get(name or "") if requested == AUTO or requested.startswith(PREFIX) else None
        if policy is None:
            raise ModelNotFound(
                f"The model {requested[:_SHOWN]!r} does not exist here; there are: {', '.join(self.names)}.",
                param="model",
            )
        choice = self._able(policy, needs, wishes, lot)
        return choice if wishes.bounded else self._with_fallbacks(choice, needs)

    def _with_fallbacks(self, choice: Choice, needs: Needs) -> Choice:
        """With those fallbacks of its last model that can serve the request and are not asked anyway."""
        asked = {*(stage.model for stage in choice.strategy.stages), choice.strategy.safe_model}
        named = self._fallbacks.get(choice.strategy.stages[-1].model, ())
        able = (model for model in named if model not in asked and self._why_not(model, needs) is None)
        return replace(choice, fallbacks=tuple(able))

    def dropped(self, model: str, body: Mapping[str, object]) -> tuple[str, ...]:
        """The hints of a request that a model is not told."""
        return self._models[model].dropped(body)

    def _able(self, policy: Policy, needs: Needs, wishes: Wishes, lot: float) -> Choice:
        canary = self.canary_of(policy)
        canary = None if canary is None or not canary.takes(lot) else canary
        whole = (policy.strategy if canary is None else canary.strategy) or single(policy.safe_model)
        tiers = tuple(stage.model for stage in whole.stages)
        if (wishes.min_tier or 1) > len(tiers):
            said = f"The policy {policy.name!r} has {len(tiers)} tier(s), and min_tier is {wishes.min_tier}."
            raise InvalidRequest(said, param="min_tier", code="invalid_parameter")
        why_not = {model: self._why_not(model, needs) for model in {*tiers, policy.safe_model}}
        if wishes.bounded:
            outside = {model for n, model in enumerate(tiers, start=1) if not wishes.within(n)}
            outside |= {policy.safe_model} - set(tiers)
            why_not |= dict.fromkeys(outside, "is outside the tiers that are wished for")
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
        altered = [] if len(stages) == len(whole.stages) else ["tiers"]
        reference = whole.reference_model
        comparable = reference in self._models and self._why_not(reference, needs) is None
        return Choice(
            policy=policy.name,
            strategy=strategy,
            scorer=policy.scorer,
            cache=policy.cache,
            tiers=tiers,
            unlike_rate=policy.unlike_rate,
            when_unaffordable=policy.when_unaffordable,
            gate=policy.gate,
            streaming=policy.streaming,
            sticky=policy.sticky,
            altered=(*altered, *(["verifiers"] if policy.gate is not None else [])),
            served=policy.verifiers,
            canary=None if canary is None else canary.share,
            shadow=policy.shadow if comparable else None,
        )


def load_policies(
    settings: Settings,
    load_scorer: Callable[[Path], AnswerScorer] = Scorer.load,
    lacking: Mapping[str, frozenset[str]] | None = None,
    tried: Mapping[str, Canary] | None = None,
) -> PolicyBook:
    """Read every policy's strategy and scorer. Raises ConfigError placing what does not fit in the configuration."""
    models = {
        model.name: Limits(
            capabilities=model.capabilities,
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            hints=hints_of(model),
            serves=model.serves,
            alone=model.mixture is not None,
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
        strategy = _strategy(settings, (n, "strategy"), written, written.strategy, scorer)
        canary = written.canary
        second = None
        if canary is not None:
            second = _strategy(settings, (n, "canary", "strategy"), written, canary.strategy, scorer)
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
                verifiers=verifiers_identity(settings, written),
                streaming=written.streaming,
                sticky=None
                if written.sticky is None
                else Sticky(turns=written.sticky.turns, ttl_s=written.sticky.ttl_s),
                canary=None if canary is None or second is None else Canary(strategy=second, share=canary.share),
                shadow=_shadow(settings, n, written, strategy),
            )
        )
    fallbacks = {model.name: model.fallbacks for model in settings.models}
    identities = {model.name: model_identity(settings, model) for model in settings.models}
    default = settings.default.name if settings.default else None
    return PolicyBook(policies, default, models, fallbacks, identities, lacking, tried)


def _shadow(settings: Settings, n: int, written: PolicySettings, strategy: Strategy | None) -> Shadow | None:
    shadow = written.shadow
    if shadow is None or strategy is None:
        return None
    if strategy.reference_model not in {model.name for model in settings.models}:
        said = f"asks the strategy's reference model, {strategy.reference_model}, which models does not have"
        raise settings.refuse(("policies", n, "shadow"), said)
    if strategy.reference_model in mixtures_of(settings):
        said = f"would ask {strategy.reference_model} beside every answer, which is a mixture: several calls"
        raise settings.refuse(("policies", n, "shadow"), said)
    return Shadow(share=shadow.share, daily_nanousd=int(shadow.usd_per_day * 10**9))


def _plain(model: str) -> Choice:
    return Choice(policy=None, strategy=single(model), scorer=None, cache="deterministic", tiers=(model,))


def _cannot_stream(written: PolicySettings, strategy: Strategy, scorer: AnswerScorer | None) -> str | None:
    """Why a policy cannot stream as it says, in words; None if it can."""
    if written.streaming == "final" and strategy.plan is not None:
        return "cannot be final where the strategy is a plan, which has no last stage"
    if written.streaming != "prefix":
        return None
    if strategy.release is None:
        return f"is prefix, and {written.strategy} has no release; optimize with --release-loss"
    if judges_beginnings(scorer) is None:
        return "is prefix, and the scorer judges no beginnings; train it with --prefixes"
    return "cannot be prefix where there are verifiers: they judge whole answers" if written.verifiers else None


def _another_scorer(strategy: Strategy, scorer: AnswerScorer | None, file: Path) -> str | None:
    """Why a strategy cannot be carried out with a scorer, in words; None if it can."""
    if not strategy.needs_scorer:
        return None
    if scorer is None:
        return f"is required by {file}; `spillway train` writes one"
    if strategy.scorer_version is not None and scorer.version != strategy.scorer_version:
        said = f"is version {scorer.version}, and {file} was chosen with {strategy.scorer_version}"
        return f"{said}; optimize again, or name that scorer"
    return lacks(strategy, scorer)


def _strategy(
    settings: Settings,
    where: tuple[int | str, ...],
    written: PolicySettings,
    file: Path | None,
    scorer: AnswerScorer | None,
) -> Strategy | None:
    """The policy's strategy in a file. where : the field of the policy that names it, after the policy's number."""
    if file is None:
        return None

    def refuse(field: str, message: str) -> ConfigError:
        place = where if field == "strategy" else (where[0], field)
        return settings.refuse(("policies", *place), message)

    try:
        strategy = Strategy.load(settings.locate(file))
    except StrategyError as error:
        raise refuse("strategy", str(error)) from error
    served = {model.name for model in settings.models}
    unknown = sorted({stage.model for stage in strategy.stages} - served)
    if unknown:
        raise refuse("strategy", f"calls {', '.join(unknown)}, which models does not have; add them there")
    mixed = sorted(set(strategy.models) & set(mixtures_of(settings)))
    if strategy.plan is not None and mixed:
        said = f"is a plan that asks {', '.join(mixed)}: plans cannot weigh what a mixture costs; use thresholds"
        raise refuse("strategy", said)
    why = _another_scorer(strategy, scorer, file)
    if why is not None:
        raise refuse("scorer", why)
    misfit = _cannot_stream(written, strategy, scorer)
    if misfit is not None:
        raise refuse("streaming", misfit)
    return replace(strategy, safe_model=written.safe_model)

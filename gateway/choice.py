"""What answers one request, and how wishes and limits change that.

Knows strategies and their stages. Knows no policy's file, no limit and no caller.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from gateway.cache.rules import CacheMode
from gateway.conversations import Sticky
from gateway.errors import InvalidRequest
from gateway.shadow import Shadow
from router.judging import AnswerScorer
from router.strategy import Strategy
from router.verifiers.gate import Gate

WhenUnaffordable = Literal["best_answer", "refuse"]
Streaming = Literal["buffer", "prefix", "final"]
"""When a stream's first word may go out.

buffer: when a judged answer is whole and accepted.   prefix: the first stage's as soon as its beginning is good enough.
final: at once, for streams are the last stage's alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What answers one request.

    policy : None where a model was asked for by its own name.
    strategy : the stages that can serve this request, at least one.
    tiers : the models of the policy's whole strategy, by which an answer's tier is told.
    altered : in what the strategy is not carried out as it was chosen and certified.
    served : what tells the upstreams and verifiers behind it from others.   dropped : wishes that mean nothing here.
    """

    policy: str | None
    strategy: Strategy
    scorer: AnswerScorer | None
    cache: CacheMode
    tiers: tuple[str, ...]
    unlike_rate: float = 0.0  # see router.judging.AnswerScorer.doubt
    gate: Gate | None = None
    fallbacks: tuple[str, ...] = ()  # asked where the last stage cannot answer
    when_unaffordable: WhenUnaffordable = "best_answer"
    altered: tuple[str, ...] = ()
    streaming: Streaming = "buffer"
    sticky: Sticky | None = None
    served: str = ""
    dropped: tuple[str, ...] = ()
    canary: float | None = None  # the share of conversations that its strategy is tried on
    shadow: Shadow | None = None  # whether its reference model is asked besides

    @property
    def certificate(self) -> str | None:
        """What has become of the strategy's certificate, None where it has none."""
        if self.strategy.certificate is None:
            return None
        return f"void: {', '.join(self.altered)}" if self.altered else "holds"

    @property
    def identity(self) -> str:
        """Everything about it that decides which answer comes of a request."""
        strategy = self.strategy
        stages = [[stage.model, stage.threshold] for stage in strategy.stages]
        plan = None if strategy.plan is None else [strategy.plan.exchange, strategy.plan.floor]
        told = [strategy.kind, stages, strategy.safe_model, plan, self.fallbacks, self.unlike_rate, self.served]
        return orjson.dumps(told).decode()

    def streamed(self) -> "Choice":
        """The choice for a request that is streamed."""
        if self.streaming == "prefix" and self.strategy.release is not None:
            return replace(self, altered=(*self.altered, "prefix"))
        last = self.strategy.stages[-1].model
        if self.streaming != "final" or self.strategy.plan is not None or len(self.strategy.stages) == 1:
            return self
        stages = (replace(self.strategy.stages[-1], threshold=None),)
        altered = self.altered if last == self.strategy.reference_model else (*self.altered, "final")
        return replace(self, strategy=replace(self.strategy, stages=stages, safe_model=last), altered=altered)

    def only(self, keep: Callable[[str], bool], why: str) -> "Choice | None":
        """The choice with those models only, None if no stage is among them.   why : a word for what this alters."""
        strategy = self.strategy
        stages = tuple(stage for stage in strategy.stages if keep(stage.model))
        if not stages:
            return None
        safe = strategy.safe_model if keep(strategy.safe_model) else stages[-1].model
        fallbacks = tuple(model for model in self.fallbacks if keep(model))
        if stages == strategy.stages and safe == strategy.safe_model and fallbacks == self.fallbacks:
            return self
        narrowed = replace(strategy, stages=stages, safe_model=safe)
        return replace(self, strategy=narrowed, fallbacks=fallbacks, altered=(*self.altered, why))

    def tier(self, model: str) -> int:
        """The model's 1-based tier; a safe model outside the strategy comes after its last."""
        return self.tiers.index(model) + 1 if model in self.tiers else len(self.tiers) + 1


def of_quality(choice: Choice, quality: float) -> Choice:
    """The choice with no threshold below ``quality``; a plan asks its reference model where it believes in less."""
    strategy = choice.strategy
    if strategy.kind == "route":
        said = "quality cannot be wished for here: the policy chooses its model before there is an answer to judge."
        raise InvalidRequest(said, param="quality", code="invalid_parameter")
    stages = tuple(
        stage if stage.threshold is None else replace(stage, threshold=max(quality, stage.threshold))
        for stage in strategy.stages
    )
    plan = strategy.plan
    if plan is not None:
        plan = replace(plan, floor=max(plan.floor, quality))
    elif not any(stage.threshold is not None for stage in stages):
        return replace(choice, dropped=(*choice.dropped, "spillway.quality"))
    if stages == strategy.stages and plan == strategy.plan:
        return choice
    altered = (*choice.altered, "quality")
    release = None if strategy.release is None else max(quality, strategy.release)
    raised = replace(strategy, stages=stages, plan=plan, release=release)
    return replace(choice, strategy=raised, altered=altered)

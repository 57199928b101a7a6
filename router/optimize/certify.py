"""Earning a certificate: which strategy on the path from the chosen one keeps a promise, by data that chose nothing.

Knows the order of the steps, and what is written down. What is tested is in ``path``, the tests are in ``verdict``,
their statistics in ``guarantee`` and ``betting``.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from router.certificate import Certificate, Promise, Test, assumptions, mark
from router.errors import NotCertified
from router.optimize.columns import columns
from router.optimize.floors import carried, raised
from router.optimize.parts import Parts
from router.optimize.path import steps
from router.optimize.simulate import Chain
from router.optimize.table import LogScorer, ScoreTable
from router.optimize.verdict import judge
from router.pricing import PriceBook
from router.strategy import Stage, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A strategy with its certificate, and what the calibration queries say of its saving.

    raised : whether thresholds had to be raised.   saving_chosen, saving : share of the reference's cost on the
    calibration queries, of the strategy that was handed in and of the certified one; None if the reference is free.
    """

    strategy: Strategy
    certificate: Certificate
    raised: bool
    saving_chosen: float | None
    saving: float | None


def certify(
    strategy: Strategy,
    scorer: LogScorer,
    parts: Parts,
    prices: PriceBook,
    promise: Promise,
    *,
    date: str | None = None,
) -> Certified:
    """Find the most lenient strategy, at most as lenient as ``strategy``, that keeps the promise, and certify it.

    parts : of a log, see ``router.optimize.parts.part``.
    Raises NotCertified naming the smallest feasible alpha, StrategyError if strategy, scorer, logs and prices do not
    fit together, ScorerError from the scorer.
    """
    _check(strategy, scorer, promise)
    selection = ScoreTable.build(parts.selection, scorer, prices, only_scored=False)
    table = ScoreTable.build(parts.calibration, scorer, prices, only_scored=False)
    (chain, reference), placing = columns(strategy, table), columns(strategy, selection)
    path = path_of(selection, strategy)
    before = carried(selection, path, promise.kind, placing[1])
    done = carried(table, path, promise.kind, reference)
    binary = _binary(table.quality[:, [*chain, reference]], selection.quality[:, [*placing[0], placing[1]]])
    test = _test(promise, binary)
    verdict = judge(before, done, promise, test)
    bare = path[verdict.step]
    certificate = Certificate(
        promise=promise,
        controlled=promise.in_words(strategy.reference_model, fractional=not binary),
        assumptions=assumptions(test),
        test=test,
        n=table.n,
        n_accepted=int(done.accepted[verdict.step].sum()),
        observed=verdict.observed,
        p_value=verdict.p_value,
        bound=verdict.bound,
        steps=len(path),
        tested=verdict.tested,
        n_selection=selection.n,
        strategy_id=bare.content_id(),
        made_from=strategy.id,
        reference_model=strategy.reference_model,
        scorer_version=strategy.scorer_version,
        data_sha256=data_sha256(table, chain, reference),
        date=date or datetime.now(UTC).isoformat(timespec="seconds"),
        seen=frozenset(map(mark, table.query_hashes)),
    )
    spent, base = done.cost_nanousd.sum(axis=1), int(table.cost_nanousd[:, reference].sum())
    return Certified(
        strategy=bare.certified(certificate),
        certificate=certificate,
        raised=verdict.step < len(path) - 1,
        saving_chosen=1 - int(spent[-1]) / base if base else None,
        saving=1 - int(spent[verdict.step]) / base if base else None,
    )


def path_of(selection: ScoreTable, strategy: Strategy) -> list[Strategy]:
    """The series that is tested, the strictest first; the last is the strategy itself, without a certificate."""
    if strategy.plan is not None:
        return raised(selection, strategy)
    chain, _ = columns(strategy, selection)
    thresholds = tuple(stage.threshold for stage in strategy.stages if stage.threshold is not None)
    return [_at(strategy, row) for row in steps(selection, chain, thresholds).tolist()]


def _check(strategy: Strategy, scorer: LogScorer, promise: Promise) -> None:
    strategy.check()
    strategy.check_scorer(scorer.version)
    judges = strategy.needs_scorer and (strategy.plan is None or bool(strategy.plan.values))
    if promise.kind == "wrong_accepted" and not judges:
        raise NotCertified(f"strategy {strategy.id} judges no answer, so none is wrongly accepted")


def data_sha256(table: ScoreTable, chain: Chain, reference: int) -> str:
    """Of one line per query in order of their hashes: the hash, then the labels of the stages' models and of the
    reference, each as Python writes a float, with spaces between."""
    labels = table.quality[:, [*chain, reference]].tolist()
    lines = sorted(" ".join([query, *map(repr, row)]) for query, row in zip(table.query_hashes, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _test(promise: Promise, binary: bool) -> Test:
    if promise.method == "conformal":
        return "conformal"
    return "binomial" if binary and promise.kind == "wrong_accepted" else "betting"


def _binary(*labels: NDArray[np.float64]) -> bool:
    return all(bool(np.isin(part, (0, 1)).all()) for part in labels)


def _at(strategy: Strategy, thresholds: list[float]) -> Strategy:
    """The strategy without a certificate, with these thresholds; the same one if they are its own."""
    raised = [*thresholds, None]
    stages = tuple(Stage(model=m, threshold=t) for m, t in zip(strategy.models, raised, strict=True))
    evidence = strategy.evidence
    if stages != strategy.stages and evidence is not None:
        note = f"thresholds were raised from those of {strategy.id}, whose quality and cost these are"
        evidence = dataclasses.replace(evidence, held_out_saving=None, held_out_quality_delta=None, note=note)
    return dataclasses.replace(strategy, stages=stages, evidence=evidence, certificate=None)

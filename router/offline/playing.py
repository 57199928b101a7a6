"""Plays a threshold strategy on one file of a partitioned log, in SQL: the same sums as a replay query by query.

Knows strategies with thresholds, and columns. Scores must stand in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from router.errors import ScoresMissing, StrategyError
from router.offline.sums import Key, Sums
from router.offline.wide import Reading, Wide, connected, literal, source_of
from router.strategy import Stage, Strategy
from scorer.partitioned.layout import Manifest

RETURNED = (
    *("queries", "quality", "quality_squared", "cost", "cost_squared"),
    *("reference_quality", "reference_quality_squared", "reference_cost", "reference_cost_squared"),
    *("gain_squared", "cost_by_reference_cost"),
)
"""What is summed for each stage over the queries whose answer it gave: quality in units of 1e-9, cost in nano-USD.
gain: quality above the reference's."""

SINGLE = ("answers", "labelled", "quality", "priced", "cost")
"""What is summed for each model over all its answers: how many, those with a label, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A strategy to play on a file.

    scores : by stage but the last, the column of its scores.   seen : marks of queries that it was chosen on.
    """

    stages: tuple[Stage, ...]
    reference: str
    scores: tuple[str, ...]
    seen: frozenset[str] = field(default_factory=frozenset, repr=False)

    @classmethod
    def of(cls, strategy: Strategy, manifest: Manifest) -> "Played":
        """Raises StrategyError where the folder lacks a model, ScoresMissing where it lacks scores."""
        if strategy.plan is not None:
            raise ScoresMissing(f"a strategy of the kind {strategy.kind!r} goes by beliefs, which no column holds")
        if strategy.entry is not None:
            raise ScoresMissing("a strategy that is entered by category goes by what no column holds")
        for model in (*strategy.models, strategy.reference_model):
            if model not in manifest.models:
                raise StrategyError(f"model {model!r}: has no answers in the data")
        if strategy.needs_scorer and manifest.scorer_version is not None:
            strategy.check_scorer(manifest.scorer_version)
        found = [manifest.score_of(m, strategy.models[:i]) for i, m in enumerate(strategy.models[:-1])]
        if None in found:
            i = found.index(None)
            beside = f" beside {', '.join(strategy.models[:i])}" if i else ""
            raise ScoresMissing(
                f"the folder has no scores of {strategy.models[i]}{beside}: "
                "run `spillway shards score` with this strategy"
            )
        told = (strategy.evidence, strategy.certificate)
        return cls(
            stages=strategy.stages,
            reference=strategy.reference_model,
            scores=tuple(column for column in found if column is not None),
            seen=frozenset(mark for part in told if part is not None for mark in part.seen),
        )

    @property
    def wide(self) -> Wide:
        """What is needed of each query."""
        columns: dict[str, tuple[str, str]] = {}
        for i, stage in enumerate(self.stages):
            columns |= {f"q{i}": (stage.model, "quality_nano"), f"c{i}": (stage.model, "cost_nanousd")}
        columns |= {f"s{i}": (self.stages[i].model, column) for i, column in enumerate(self.scores)}
        columns |= {"rq": (self.reference, "quality_nano"), "rc": (self.reference, "cost_nanousd")}
        return Wide(columns=columns, keep=("hash",) if self.seen else ())

    def sums(self, path: Path, reading: Reading) -> Sums:
        """``("returned", stage)`` as ``RETURNED`` has it, ``("seen",)``, and ``("single", model)`` as ``SINGLE``."""
        values: dict[Key, tuple[int, ...]] = {}
        with connected(reading) as database:
            seen = "0"
            if self.seen:
                database.execute("CREATE TABLE seen (mark VARCHAR)")
                database.execute("INSERT INTO seen SELECT unnest(?)", [sorted(self.seen)])
                seen = "count(*) FILTER (WHERE hash[1:16] IN (SELECT mark FROM seen))"
            for stage, told, *numbers in database.execute(self._sql(path, seen)).fetchall():
                values["returned", int(stage)] = tuple(map(int, numbers))
                if told:
                    values["seen",] = (values.get(("seen",), (0,))[0] + int(told),)
            for model, *numbers in database.execute(_singles(path)).fetchall():
                values["single", model] = tuple(int(number or 0) for number in numbers)
        return Sums(values)

    def _sql(self, path: Path, seen: str) -> str:
        last = len(self.stages) - 1
        stops = " ".join(
            f"WHEN s{i} >= {literal(float(stage.threshold))} THEN {i}"
            for i, stage in enumerate(self.stages)
            if stage.threshold is not None
        )
        stage = f"CASE {stops} ELSE {last} END" if stops else str(last)
        quality = _by_stage([f"q{i}" for i in range(last + 1)])
        cost = _by_stage([" + ".join(f"c{j}" for j in range(i + 1)) for i in range(last + 1)])
        keep = ", hash" if self.seen else ""
        return (
            f"WITH wide AS ({self.wide.sql(path)}), "
            f"placed AS (SELECT *, {stage} AS stage FROM wide), "
            f"played AS (SELECT stage, {quality} AS q, {cost} AS c, rq, rc{keep} FROM placed) "
            f"SELECT stage, {seen}, count(*), sum(q), sum(q * q), sum(c), sum(c::HUGEINT * c), sum(rq), sum(rq * rq), "
            "sum(rc), sum(rc::HUGEINT * rc), sum((q - rq) * (q - rq)), sum(c::HUGEINT * rc) FROM played GROUP BY stage"
        )


def _by_stage(values: list[str]) -> str:
    if len(values) == 1:
        return values[0]
    whens = " ".join(f"WHEN {i} THEN {value}" for i, value in enumerate(values))
    return f"CASE stage {whens} END"


def _singles(path: Path) -> str:
    return (
        "SELECT model, count(*), count(quality_nano), sum(quality_nano), count(cost_nanousd), sum(cost_nanousd) "
        f"FROM {source_of(path)} GROUP BY model"
    )


def named(values: tuple[int, ...], names: tuple[str, ...]) -> Mapping[str, int]:
    """Sums under their names; zeros where there are none."""
    return dict(zip(names, values or (0,) * len(names), strict=True))

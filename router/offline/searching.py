"""Searches threshold strategies on a partitioned log: sums for every candidate from every file, then the usual rules.

Knows chains, thresholds and sums. The same search as ``router.optimize.search``, but that thresholds are multiples of
1/1024 near the scores' quantiles, for these are told by histograms, which add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.offline.sums import Key, Sums
from router.offline.wide import Reading, Wide, connected, literal
from router.optimize.search import Sweeps
from router.optimize.simulate import SUMS, Sweep, axes
from scorer.partitioned.layout import FOLDS, NANO, Manifest

BINS = 1024
_MODEL = ("queries", "quality", "cost")
_SCALES = (NANO, NANO**2, 1, 1, 1)  # of SUMS

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Which models' answers, and beside which others they are judged: (model, context) -> column of scores."""

    models: Names
    scores: Mapping[tuple[str, Names], str]

    @classmethod
    def of(cls, manifest: Manifest, depth: int) -> "Searched":
        """Everything that has been scored, for chains of up to ``depth``. Raises StrategyError where nothing has."""
        if not manifest.scored:
            raise StrategyError("the folder has no scores: run `spillway shards score` on it first")
        known = [context for context in manifest.contexts if len(context) < depth - 1]
        found = {(m, c): manifest.score_of(m, c) for m in manifest.scored for c in known}
        return cls(models=manifest.scored, scores={key: column for key, column in found.items() if column is not None})

    def name(self, model: str, context: Sequence[str]) -> str:
        """A score's column side by side with the others."""
        places = [self.models.index(each) for each in sorted(context)]
        return "_".join(["s", *map(str, (self.models.index(model), *places))])

    @property
    def wide(self) -> Wide:
        """Queries that lack a label, a cost or a score of any of the models are left out."""
        columns: dict[str, tuple[str, str]] = {}
        for place, model in enumerate(self.models):
            columns |= {f"q{place}": (model, "quality_nano"), f"c{place}": (model, "cost_nanousd")}
        columns |= {self.name(model, context): (model, column) for (model, context), column in self.scores.items()}
        return Wide(columns=columns, keep=("fold",))

    def sums(self, path: Path, reading: Reading) -> Sums:
        """``("model", name, fold)``: queries, quality, cost; and ``("score", name, bin)``: how many."""
        values: dict[Key, tuple[int, ...]] = {}
        with connected(reading) as database:
            database.execute(f"CREATE TABLE wide AS {self.wide.sql(path)}")
            for place, model in enumerate(self.models):
                told = database.execute(f"SELECT fold, count(*), sum(q{place}), sum(c{place}) FROM wide GROUP BY fold")
                for fold, *numbers in told.fetchall():
                    values["model", model, int(fold)] = tuple(map(int, numbers))
            for model, context in self.scores:
                name = self.name(model, context)
                binned = f"SELECT floor(greatest({name}, 0) * {BINS})::INT AS bin, count(*) FROM wide GROUP BY bin"
                for place, count in database.execute(binned).fetchall():
                    values["score", name, min(int(place), BINS)] = (int(count),)
        return Sums(values)


def thresholds(histograms: Sequence[NDArray[np.int64]], size: int) -> NDArray[np.float64]:
    """At most ``size`` ascending multiples of 1/1024 at which about equal numbers accept, and 1."""
    below = np.concatenate([[0], np.cumsum(np.sum(histograms, axis=0))])[: BINS + 1]
    total = int(np.sum(histograms))
    edges = np.searchsorted(below, np.linspace(0, 1, size + 1)[1:-1] * total)
    return np.unique(np.append(np.clip(edges, 1, BINS), BINS)) / BINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Chains of models by index, each with a grid of thresholds for each of its axes (see ``simulate.axes``)."""

    searched: Searched
    reference: int
    chains: tuple[tuple[int, ...], ...]
    grids: tuple[tuple[tuple[float, ...], ...], ...]

    def sums(self, path: Path, reading: Reading) -> Sums:
        """``("base", model, fold)`` and ``("step", chain, step, fold, …reached)``, in the order of ``SUMS``: what it
        brings to end with a model asked first, and what going on to a chain's next model changes for those that do."""
        values: dict[Key, tuple[int, ...]] = {}
        with connected(reading) as database:
            database.execute(f"CREATE TABLE wide AS {self.searched.wide.sql(path)}")
            for model in sorted({chain[0] for chain in self.chains}):
                told = ", ".join(f"sum({value})" for value in self._values(model, f"c{model}"))
                for fold, *numbers in database.execute(f"SELECT fold, {told} FROM wide GROUP BY fold").fetchall():
                    values["base", model, int(fold)] = tuple(map(int, numbers))
            for number, chain in enumerate(self.chains):
                for step in range(len(chain) - 1):
                    for keys, numbers in self._step(database, number, step):
                        values["step", number, step, *keys] = numbers
        return Sums(values)

    def _step(self, database: Any, number: int, step: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        chain, grids = self.chains[number], self.grids[number]
        paid = " + ".join(f"c{model}" for model in chain[: step + 1])
        ended, going = self._values(chain[step], paid), self._values(chain[step + 1], f"{paid} + c{chain[step + 1]}")
        told = ", ".join(f"sum({after} - {before})" for before, after in zip(ended, going, strict=True))
        reached = [self._reached(chain, grids, step, axis) for axis in range(len(grids))]
        keys = ", ".join(["fold", *reached])
        groups = ", ".join(str(place + 1) for place in range(1 + len(reached)))
        rows = database.execute(f"SELECT {keys}, {told} FROM wide GROUP BY {groups}").fetchall()
        size = 1 + len(reached)
        return [(tuple(map(int, row[:size])), tuple(map(int, row[size:]))) for row in rows]

    def _reached(self, chain: tuple[int, ...], grids: tuple[tuple[float, ...], ...], step: int, axis: int) -> str:
        """The most thresholds of an axis that a score so far has reached."""
        of = [stage for stage in range(step + 1) if axes(len(chain))[stage] == axis]
        if not of:
            return "0"
        names = [self.searched.models[model] for model in chain]
        cases = []
        for stage in of:
            score = self.searched.name(names[stage], names[:stage])
            whens = " ".join(f"WHEN {score} < {literal(level)} THEN {place}" for place, level in enumerate(grids[axis]))
            cases.append(f"CASE {whens} ELSE {len(grids[axis])} END")
        return cases[0] if len(cases) == 1 else f"greatest({', '.join(cases)})"

    def _values(self, model: int, paid: str) -> tuple[str, ...]:
        """In the order of ``SUMS``, for a query that ends with this model's answer."""
        gain, cost = f"(q{model} - q{self.reference})", f"({paid})::HUGEINT"
        over = f"({cost} - c{self.reference})"
        return gain, f"{gain} * {gain}", cost, f"{cost} * {cost}", f"{over} * {over}"

    def sweeps(self, sums: Sums) -> list[Sweep]:
        """What the sums over all files say of every combination of thresholds."""
        return [self._sweep(number, sums) for number in range(len(self.chains))]

    def _sweep(self, number: int, sums: Sums) -> Sweep:
        chain, grids = self.chains[number], self.grids[number]
        sizes = tuple(map(len, grids))
        total = np.zeros((len(SUMS), FOLDS, *sizes), dtype=object)
        for fold in range(FOLDS):
            base = np.array(sums.of("base", chain[0], fold, size=len(SUMS)), dtype=object)
            total[:, fold] += base.reshape(len(SUMS), *(1 for _ in sizes))
        cells = np.zeros((len(SUMS), FOLDS, *(size + 1 for size in sizes)), dtype=object)
        for (kind, *key), told in sums.values.items():
            if kind == "step" and key[0] == number:
                for row, value in zip(cells, told, strict=True):
                    row[tuple(map(int, key[2:]))] += value
        for axis, size in enumerate(sizes, start=2):
            cells = np.cumsum(cells, axis=axis).take(range(size), axis=axis)
        exact = (total + cells).reshape(len(SUMS), -1)
        scaled = np.array([[value / scale for value in row] for row, scale in zip(exact, _SCALES, strict=True)])
        return Sweep(
            chain=chain,
            thresholds=tuple(np.array(grid) for grid in grids),
            sums=scaled.reshape(len(SUMS), FOLDS, *sizes),
        )


def candidates(swept: Swept, surveyed: Sums, sums: Sums) -> Sweeps:
    """Everything that was tried, ready for the rules."""
    reference = swept.searched.models[swept.reference]
    told = [surveyed.of("model", reference, fold, size=len(_MODEL)) for fold in range(FOLDS)]
    return Sweeps(
        chains=swept.chains,
        sweeps=swept.sweeps(sums),
        part_sizes=np.array([each[0] for each in told], dtype=np.int64),
        reference=swept.reference,
        reference_sums=np.array([[each[1] / NANO for each in told], [float(each[2]) for each in told]]),
    )

"""What correcting beliefs once more brings ``cascade_route``: area, saving and quality, out of fold on train splits.

Prints a table. One cross-fitted scorer a log; plans, corrections and choices leave each fold out. Measured only.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from router.benchmark.figures import areas, chosen_runs, held_of, saving
from router.benchmark.methods import CascadeRoute, Method
from router.benchmark.nested import OURS, Part, part_of
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from scorer import registry, training
from scorer.dataset import read_log
from scorer.folds import assign_folds
from scorer.scoring import Scorer
from tests.benchmarks.test_scorer_ablations import SETS
from tests.benchmarks.tried_corrections import Corrected, moves_by_state, moves_of_strongest

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(7200)]

METHODS: tuple[Method, ...] = (
    CascadeRoute(),
    Corrected(name="every model's by state, ridge 30", fitted=moves_by_state, ridge=30.0),
    Corrected(name="every model's by state, ridge 200", fitted=moves_by_state, ridge=200.0),
    Corrected(name="the strongest's once it answered, ridge 30", fitted=moves_of_strongest, ridge=30.0),
    Corrected(name="the strongest's once it answered, ridge 200", fitted=moves_of_strongest, ridge=200.0),
)


def test_corrections(replay_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [name for name in SETS if not name.startswith("routellm")]
    parts: list[Part] = []
    for name in sets:
        parts += _parts(name, replay_data)
        with capsys.disabled():
            print(f"{name}: done", flush=True)
    held = [held_of([part for part in parts if part.dataset == name]) for name in sets]
    names = [method.name for method in METHODS]
    told = areas(held, names, OURS, seed=0)
    with capsys.disabled():
        print("\n| beliefs corrected | area, below the built-in's | match, pooled | match, by set | most, pooled |")
        print("| --- | --- | --- | --- | --- |")
        for name in names:
            above = told[name]["above"]
            below = "" if above is None else f"{above['value']:.2f} ({above['ci95'][0]:.2f} … {above['ci95'][1]:.2f})"
            cells = [below or f"{told[name]['macro']['value']:.2f}"]
            for goal, caution, pool in (("match", 0.5, True), ("match", 0.5, False), ("most", 0.0, True)):
                runs, _ = chosen_runs(parts, name, goal, caution, pool=pool)  # type: ignore[arg-type]
                macro = saving(held, runs, seed=0)["macro"]
                cells.append(f"{100 * macro['quality']['value']:+.2f}; {macro['saving']['value']:.1%}")
            print(f"| {name} | {' | '.join(cells)} |")


def _parts(name: str, folder: Path) -> Sequence[Part]:
    queries = read_log([folder / f"{name}.jsonl.gz"], split="train").queries
    with tempfile.TemporaryDirectory() as place:
        registry.write(training.train(queries), Path(place) / "scorer")
        scorer = Scorer.load(Path(place) / "scorer")
    table, folds = ScoreTable.build(queries, scorer, PriceBook.load(folder / "prices.json")), assign_folds(queries, 5)
    return [
        part_of(name, table.take(np.flatnonzero(folds != f)), table.take(np.flatnonzero(folds == f)), METHODS)
        for f in range(5)
    ]

"""``spillway benchmark quality``: strategies and methods of the literature on queries that nothing was fitted on.

Knows options, files and errors. Progress goes to stderr, results to stdout.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from router.errors import RouterError, StrategyError
from scorer.errors import ScorerError

app = typer.Typer()
benchmark = typer.Typer(help="Measure how good strategies are.", no_args_is_help=True)
app.add_typer(benchmark, name="benchmark")

SETS = "zeroeval_gsm,zeroeval_math_l5,zeroeval_crux,mmlu_pro"
PAIRS = "routellm_gsm8k,routellm_mmlu_labels"


@benchmark.callback()
def about() -> None:
    """Measure how good strategies are on logged answers."""


@benchmark.command("quality")
def quality(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Logs NAME.jsonl.gz, and prices.json.")],
    final: Annotated[bool, typer.Option("--final", help="Fit on the train splits, judge on the dev splits.")] = False,
    both: Annotated[
        bool, typer.Option("--both", help="Out of fold on the train splits, then as --final; and both together.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    sets: Annotated[str, typer.Option("--sets", help="Logs of several models, with commas between; or none.")] = SETS,
    pairs: Annotated[str, typer.Option("--pairs", help="Logs of two models, by RouteLLM's protocol; or none.")] = PAIRS,
    train_splits: Annotated[str, typer.Option("--train-splits", help="Splits that are fitted on.")] = "train",
    final_splits: Annotated[
        str, typer.Option("--final-splits", help="Splits that --final and --both judge on.")
    ] = "dev",
    prices: Annotated[Path | None, typer.Option("--prices", help="Default: prices.json in the folder.")] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Outer folds, without --final.")] = 5,
    ablations: Annotated[bool, typer.Option("--ablations", help="Also variants of cascade_route.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same report.")] = 0,
    one_scorer: Annotated[
        bool, typer.Option("--one-scorer", help="Quicker: one cross-fitted scorer a log; only choices are nested.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: cores.")] = None,
) -> None:
    """Nested cross-validation on the train splits; with --final one fit on them, judged on the others once."""
    with _said_in_words():
        started = time.monotonic()
        listed = prices or data / "prices.json"
        if final and both:
            raise StrategyError("--final and --both: give one of them; --both has what --final tells")
        judged = _names(final_splits) if final or both else ()
        outer = 0 if final else folds
        work = _Work(data, listed, _names(train_splits), judged, outer, seed, one_scorer)
        report: dict[str, Any] = {"seed": seed, "protocol": work.protocol}
        report |= work.several(_names(sets), ablations, workers)
        report["pairs"] = work.pairs(_names(pairs))
        report["wall_s"] = time.monotonic() - started
        if as_json:
            typer.echo(json.dumps(report, indent=2))
            return
        from router.benchmark.show import show

        show(report)


class _Work:
    def __init__(
        self,
        folder: Path,
        prices: Path,
        fitted: tuple[str, ...],
        judged: tuple[str, ...],
        folds: int,
        seed: int,
        one_scorer: bool,
    ) -> None:
        self._folder, self._prices, self._fitted, self._judged = folder, prices, fitted, judged
        self._folds, self._seed, self._one = folds, seed, one_scorer
        told = []
        if folds:
            told.append(f"{folds} outer folds of {' + '.join(fitted)}")
        if folds and one_scorer:
            told[0] += ", one cross-fitted scorer a log: choices are nested, scores out of fold"
        if judged:
            told.append(f"fitted on {' + '.join(fitted)}, judged on {' + '.join(judged)}")
        self.protocol = "; ".join(told)

    def several(self, names: tuple[str, ...], ablations: bool, workers: int | None) -> dict[str, Any]:
        from router.benchmark.nested import Task, outer_tasks, run
        from router.benchmark.report import report_of

        tasks: list[Task] = []
        for name in names:
            train = self._queries(name, self._fitted)
            held = self._queries(name, self._judged) if self._judged else ()
            if not self._folds:
                tasks.append(
                    Task(
                        dataset=name,
                        train=train,
                        held=held,
                        prices=self._prices,
                        seed=self._seed,
                        ablations=ablations,
                        final=True,
                    )
                )
                continue
            tasks += outer_tasks(
                name,
                train,
                self._prices,
                n_folds=self._folds,
                seed=self._seed,
                ablations=ablations,
                one=self._one,
                final=held,
            )
        return report_of(run(tasks, _say, workers), seed=self._seed) if tasks else {}

    def pairs(self, names: tuple[str, ...]) -> dict[str, Any]:
        from router.benchmark.pair_sets import post_answer, pre_call, splits
        from router.pricing import PriceBook

        told = {}
        for name in names:
            train = self._queries(name, self._fitted)
            parts = splits(train, self._folds) if self._folds else [(train, self._queries(name, self._judged))]
            if all(query.answers for query in train):
                told[name] = post_answer(parts, PriceBook.load(self._prices), seed=self._seed, progress=_say)
            else:
                told[name] = pre_call(parts, seed=self._seed)
            _say(f"{name}: done")
        return told

    def _queries(self, name: str, wanted: tuple[str, ...]) -> Any:
        from scorer.dataset import read_log

        found = [path for end in (".jsonl.gz", ".jsonl") if (path := self._folder / f"{name}{end}").exists()]
        if not found:
            raise StrategyError(f"--data {self._folder}: has no {name}.jsonl.gz or {name}.jsonl")
        queries = tuple(query for query in read_log(found[:1]).queries if query.split in wanted)
        if not queries:
            raise StrategyError(f"{found[0]}: no queries of split {' or '.join(wanted)}")
        return queries


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip() and name.strip() != "none")


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _said_in_words() -> Iterator[None]:
    """Errors that have a name end the command with their message and status 2, without a traceback."""
    try:
        yield
    except (RouterError, ScorerError) as error:
        typer.echo(f"spillway: {error}", err=True)
        raise typer.Exit(2) from None

"""The command ``spillway train``.

Knows options, files and errors in words. Knows nothing of how a scorer is fitted.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scorer.errors import ScorerError, TooLittleData
from scorer.manyvalues import ManyValues

if TYPE_CHECKING:
    from scorer.dataset import Log

app = typer.Typer(no_args_is_help=True)


class Model(StrEnum):
    """Which models a scorer is made of."""

    STACK = "stack"
    LIGHTGBM = "lightgbm"
    LOGISTIC = "logistic"


CategoriesOption = Annotated[
    bool, typer.Option("--categories", help="Also tell categories of queries apart, for optimize --entry.")
]
_KINDS = {Model.STACK: ("linear", "boosted"), Model.LIGHTGBM: ("boosted",), Model.LOGISTIC: ("linear",)}


@app.command("train", cls=ManyValues)
def train(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="FILE...",
            help="Logged answers, JSONL or gzipped JSONL; one or more. Or a folder of Parquet.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the scorer is written.")],
    split: Annotated[
        str | None, typer.Option("--split", help="Only queries of this split, e.g. train; else all.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad lines and count them.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="The same seed gives the same scorer.")] = 0,
    model: Annotated[Model, typer.Option("--model", help="Both models stacked, or one of them.")] = Model.STACK,
    prefixes: Annotated[
        bool, typer.Option("--prefixes", help="Also judge beginnings of answers, for policies that stream early.")
    ] = False,
    categories: CategoriesOption = False,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", help="Sources of labels that count, with commas between; needed where there are several."
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", min=0, help="Of a folder, at most so many queries, stratified; 0: all. Default: 20000."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a scorer from logged answers and report how well it judges answers that it has not seen."""
    with _said_in_words():
        from scorer import registry, training
        from scorer.display import progress_bars, show_report
        from scorer.labels import by_sources

        log = _log(data, split, sample, seed, skip_bad=skip_bad)
        if log.n_bad:
            typer.echo(f"warning: {log.n_bad} bad lines are left out", err=True)
        if not log.queries:
            what = "no queries" if split is None else f"no queries of split {split!r}"
            raise TooLittleData(f"{', '.join(map(str, data))}: {what}")
        queries, n_labels = by_sources(log.queries, None if labels is None else [s.strip() for s in labels.split(",")])
        with progress_bars(quiet=as_json) as progress:
            kinds = _KINDS[model]
            trained = training.train(
                queries, kinds=kinds, seed=seed, progress=progress, prefixes=prefixes, categories=categories
            )
        version = registry.write(trained, out)
        if as_json:
            told = {"version": version, "out": str(out), "n_bad_lines": log.n_bad, "labels": n_labels}
            typer.echo(json.dumps(told | dict(trained.report), indent=2))
            return
        show_report(trained.report)
        typer.echo("labels: " + ", ".join(f"{count:,} {source}" for source, count in n_labels.items()))
        typer.echo(f"scorer {version} of {len(trained.models)} models, {len(trained.folds)} queries: {out}")


def _log(data: list[Path], split: str | None, size: int | None, seed: int, *, skip_bad: bool) -> "Log":
    """All that was logged; of one folder that has more, a sample."""
    from scorer.dataset import Log, read_log
    from scorer.errors import LogUnreadable
    from scorer.partitioned.sample import USUAL, sampled

    if len(data) > 1 or not data[0].is_dir():
        if size is not None:
            raise LogUnreadable("--sample", "is drawn from one folder of Parquet; see `spillway shards write`")
        return read_log(data, split=split, skip_bad=skip_bad)
    if size == 0:
        return read_log(data, split=split)
    drawn = sampled(data[0], USUAL if size is None else size, split=split, seed=seed)
    if len(drawn.queries) < drawn.of:
        typer.echo(
            f"a stratified sample: {len(drawn.queries):,} of {drawn.of:,} queries, of {drawn.strata:,} strata by "
            f"category, models and which were right (seed {seed}); --sample 0 takes all (scorer/README.md)",
            err=True,
        )
    return Log(queries=drawn.queries, n_bad=0)


@contextmanager
def _said_in_words() -> Iterator[None]:
    """Errors that have a name end the command with their message and status 2, without a traceback."""
    try:
        yield
    except ScorerError as error:
        typer.echo(f"spillway: {error}", err=True)
        raise typer.Exit(2) from None

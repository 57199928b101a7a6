"""How work on partitioned logs looks in a terminal: a bar, or plain lines where there is none, and what was found.

Knows tables and lines. Computes nothing but what is shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from router.display import progress_bar, stage_table
from router.offline.optimizing import FolderChoice
from router.offline.replaying import FolderReport, Interval
from router.optimize.search import Progress
from router.replay import Baseline

_LINES = 10


@contextmanager
def told(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """A bar on stderr; where that is no terminal, a line for about each tenth of the files."""
    if quiet or Console(stderr=True).is_terminal:
        with progress_bar(title, quiet=quiet) as progress:
            yield progress
        return

    def say(done: int, total: int) -> None:
        if done == total or done * _LINES // total > (done - 1) * _LINES // total:
            typer.echo(f"{title}: {done} of {total} files", err=True)

    yield say


def show_folder_replay(report: FolderReport) -> None:
    """What the strategy did, beside its reference and every model alone."""
    console = Console()
    console.print(
        f"strategy {report.strategy['id']} on {report.n_queries:,} queries, of {report.n_rows:,} logged answers"
    )
    console.print(stage_table(report.stages))
    table = Table()
    for column in ("", "quality", "USD per 1k"):
        table.add_column(column, justify="left" if not column else "right")
    this = Baseline(model="this strategy", quality=report.quality, cost_usd_per_1k=report.cost_usd_per_1k)
    for row in (this, *report.singles):
        name = f"{row.model} (reference)" if row.model == report.reference.model else str(row.model)
        table.add_row(name, f"{row.quality:.4f}", f"${row.cost_usd_per_1k:.4g}")
    console.print(table)
    saving = "unknown" if report.saving is None else f"{report.saving:.2%}"
    console.print(f"saving {saving} {_interval(report.saving_ci95, '.2%')} of the reference's cost")
    console.print(
        f"quality {report.quality_delta:+.4f} {_interval(report.quality_delta_ci95, '+.4f')} to the reference"
    )


def show_folder_choice(choice: FolderChoice, out: Path) -> None:
    """The strategy, and what it was chosen among."""
    console, strategy = Console(), choice.strategy
    stages = Table()
    stages.add_column("stage")
    stages.add_column("accepts from", justify="right")
    for stage in strategy.stages:
        stages.add_row(stage.model, "anything" if stage.threshold is None else f"{stage.threshold:.4f}")
    console.print(f"strategy {strategy.id}, of {len(choice.tried):,} on {choice.n_queries:,} queries")
    console.print(stages)
    evidence = strategy.evidence
    if evidence is not None:
        console.print(
            f"{evidence.rule}: quality {evidence.quality:.4f} at ${evidence.cost_usd_per_1k:.4g} per 1k; "
            f"{strategy.reference_model} alone: {evidence.reference_quality:.4f} at "
            f"${evidence.reference_cost_usd_per_1k:.4g}"
        )
        if evidence.note:
            console.print(evidence.note)
    if choice.held_out is not None:
        console.print(
            f"to be expected of new queries (chosen without a fold, judged on it, {choice.held_out.folds} folds): "
            f"saving {choice.held_out.saving:.1%}, quality {choice.held_out.quality_delta:+.4f}"
        )
    if choice.left_out:
        console.print(f"{choice.left_out:,} queries are left out: they lack a label, a price or a score")
    console.print(f"written to {out}")


def _interval(bounds: Interval | None, form: str) -> str:
    return "" if bounds is None else f"(95 %: {bounds[0]:{form}} … {bounds[1]:{form}})"

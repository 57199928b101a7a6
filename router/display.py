"""How the optimiser's and the replay's results look in a terminal.

Knows tables and a progress bar. Computes nothing but what is shown.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from router.certificate import Certificate
from router.optimize.bootstrap import Interval
from router.optimize.certify import Certified
from router.optimize.choose import Choice
from router.optimize.entries import EntryChoice
from router.optimize.frontier import spread_out
from router.optimize.search import Progress
from router.optimize.singles import MARGIN
from router.replay import Baseline, PlayedStage, ReplayReport

_FRONTIER_ROWS = 12


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Progress]:
    """A bar on stderr, so that stdout holds the result only."""
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show_choice(choice: Choice, out: Path) -> None:
    """The strategy, what it was chosen on, and the frontier around it."""
    console, strategy = Console(), choice.strategy
    evidence = strategy.evidence
    console.print(_stages(f"strategy {strategy.id}", [(s.model, s.threshold) for s in strategy.stages]))
    if strategy.plan is not None:
        asks = "after every answer" if strategy.kind == "cascade_route" else "once"
        console.print(
            f"{strategy.kind}: chooses {asks} among these models, at {strategy.plan.exchange:.4g} quality per USD"
        )
    if evidence is not None:
        console.print(
            f"{evidence.rule} on {evidence.n_queries} queries: quality {evidence.quality:.4f} at "
            f"{_usd(evidence.cost_usd_per_1k)} per 1k; {strategy.reference_model} alone: "
            f"{evidence.reference_quality:.4f} at {_usd(evidence.reference_cost_usd_per_1k)}"
        )
        if evidence.note:
            console.print(f"[bold]{evidence.note}[/bold]")
    if choice.held_out is not None:
        console.print(
            f"to be expected of new queries (chosen without a fold, judged on it, {choice.held_out.folds} folds): "
            f"saving {choice.held_out.saving:.1%}, quality {choice.held_out.quality_delta:+.4f}"
        )
    for kind, held in choice.by_kind.items():
        if held is not None:
            told = f"saving {held.saving:.1%}, quality {held.quality_delta:+.4f}"
            console.print(f"  the best {kind}: {told}")
    equal = choice.equal
    console.print(
        f"cheapest single model that is surely at most {MARGIN:.0%} worse than {strategy.reference_model}: "
        f"{equal.model}, quality {equal.quality:.4f} at {_usd(equal.cost_usd_per_1k)} per 1k"
    )
    table = Table(
        title=f"frontier, of {len(choice.candidates):,} threshold strategies (95 %, not corrected for choosing)"
    )
    if choice.kind not in ("threshold", "best_single"):
        table.title = "frontier by exchange rate, out of fold (95 %)"
    for column in ("quality", "95 %", "above the reference, 95 %", "USD per 1k", "95 %", "strategy"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    shown = spread_out(np.arange(len(choice.frontier)), _FRONTIER_ROWS)
    for point in (choice.frontier[row] for row in shown):
        table.add_row(
            f"{point.quality:.4f}",
            "{:.4f} … {:.4f}".format(*point.quality_ci95),
            "{:+.4f} … {:+.4f}".format(*point.gain_ci95),
            _usd(point.cost_usd_per_1k),
            " … ".join(map(_usd, point.cost_ci95)),
            point.strategy,
        )
    console.print(table)
    console.print(f"written to {out}")


def show_entry(choice: EntryChoice) -> None:
    """Which categories enter later, and what that is worth beside the same without; or why none does."""
    console, entry = Console(), choice.strategy.entry
    if entry is None:
        console.print(f"[bold]{choice.note}[/bold]")
    else:
        table = Table(title=f"entered later, from a probability of {entry.least:g} on: {choice.moved:.1%} of queries")
        for column in ("category", "not asked"):
            table.add_column(column)
        for category, skipped in sorted(entry.skips.items()):
            table.add_row(category, ", ".join(skipped))
        console.print(table)
    for name, held in (("with an entry", choice.with_entry), ("without", choice.without)):
        if held is not None:
            console.print(f"on held-out folds {name}: saving {held.saving:.1%}, quality {held.quality_delta:+.4f}")


def stage_table(stages: Sequence[PlayedStage], title: str | None = None) -> Table:
    """How often each stage was called, and its answer returned."""
    table = Table(title=title)
    for column in ("stage", "accepts from", "calls", "answers returned"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage in stages:
        threshold = "anything" if stage.threshold is None else f"{stage.threshold:.3f}"
        table.add_row(stage.model, threshold, f"{stage.calls:,}", f"{stage.accepted:,}")
    return table


def show_replay(report: ReplayReport) -> None:
    """What the strategy did, beside what it is compared with."""
    console = Console()
    console.print(stage_table(report.stages, title=f"strategy {report.strategy['id']} on {report.n_queries:,} queries"))
    table = Table()
    for column in ("", "quality", "USD per 1k", "model"):
        table.add_column(column, justify="left" if column in ("", "model") else "right")
    this = Baseline(model=None, quality=report.quality, cost_usd_per_1k=report.cost_usd_per_1k)
    for name, row in (
        ("this strategy", this),
        ("reference", report.reference),
        ("cheapest single model, surely at most 1% worse", report.cheapest_equal),
        ("random mix of single models at this cost", report.random),
        ("oracle", report.oracle),
    ):
        table.add_row(name, f"{row.quality:.4f}", _usd(row.cost_usd_per_1k), row.model or "")
    console.print(table)
    console.print(f"saving {_percent(report.saving)} {_interval(report.saving_ci95, '.1%')} of the reference's cost")
    console.print(
        f"quality {report.quality_delta:+.4f} {_interval(report.quality_delta_ci95, '+.4f')} to the reference"
    )


def show_certified(certified: Certified, out: Path) -> None:
    """The certified strategy, what certifying cost of its saving, and the certificate."""
    console, strategy = Console(), certified.strategy
    console.print(_stages(f"strategy {strategy.id}", [(s.model, s.threshold) for s in strategy.stages]))
    made_from = certified.certificate.made_from
    if certified.raised:
        kept, had = _percent(certified.saving), _percent(certified.saving_chosen)
        console.print(f"thresholds are higher than those of {made_from}: on these queries it saves {kept}, not {had}")
    else:
        console.print(f"thresholds are those of {made_from}: on these queries it saves {_percent(certified.saving)}")
    show_certificate(certified.certificate)
    console.print(f"written to {out}")


def show_certificate(certificate: Certificate) -> None:
    """What is promised, on which data, and on which assumptions."""
    console = Console()
    console.print(f"[bold]certificate[/] of {certificate.date}: {certificate.controlled}")
    tested = f"p = {certificate.p_value:.3g}, " if certificate.p_value is not None else ""
    console.print(
        f"{certificate.test}: observed {certificate.observed:.4f} on {certificate.n:,} queries, of which judged stages "
        f"answered {certificate.n_accepted:,}; {tested}upper bound {certificate.bound:.4f}; {certificate.tested} of "
        f"{certificate.steps} steps tested; path and start by {certificate.n_selection:,} other queries"
    )
    console.print(f"data {certificate.data_sha256[:16]}…, scorer {certificate.scorer_version}")
    for assumption in certificate.assumptions:
        console.print(f"  assumed: {assumption}")


def _stages(title: str, stages: list[tuple[str, float | None]]) -> Table:
    table = Table(title=title)
    table.add_column("stage")
    table.add_column("accepts from", justify="right")
    for model, threshold in stages:
        table.add_row(model, "anything" if threshold is None else f"{threshold:.4f}")
    return table


def _usd(amount: float) -> str:
    return f"${amount:.4g}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _interval(bounds: Interval | None, form: str) -> str:
    return "" if bounds is None else f"(95 %: {bounds[0]:{form}} … {bounds[1]:{form}})"

"""How training looks in a terminal: a progress bar, and the report as a table.

Knows what is shown. Computes nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from scorer.training import Progress as Told

_SECTIONS = {
    "expected": "answers before any call (from the query alone)",
    "alone": "answers alone (nothing else paid for yet)",
    "together": "answers beside random sets of other models' answers",
}


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Told]:
    """One bar for each kind of work, on stderr, so that stdout holds the result only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def told(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing, total=total)
            bars.update(tasks[doing], completed=done, total=total)

        yield told


def show_report(report: Mapping[str, Any]) -> None:
    """The evaluation out of fold, a table for answers alone and one for answers in company."""
    console = Console()
    for name, title in _SECTIONS.items():
        section = report["out_of_fold"].get(name)
        if section is None:
            continue
        table = Table(title=title, title_justify="left", caption=_made_of(section), caption_justify="left")
        for column in ("model", "answers", "good", "AUROC", "Brier", "of mean", "ECE", "excess"):
            table.add_column(column, justify="left" if column == "model" else "right", overflow="fold")
        for model, measured in (*section["models"].items(), ("all", section["overall"])):
            table.add_row(model, *_row(measured), style="bold" if model == "all" else None)
        console.print(table)
    unlike = report["unlike"]
    console.print(
        f"Traffic unlike this log will not be scored; of queries like it, left out in turn, {unlike['share']:.1%} are "
        f"taken for such (wanted: {unlike['rate']:.1%}).",
        highlight=False,
    )
    console.print(
        "All figures are out of fold. Brier should be below that of the mean; excess is the calibration error beyond "
        "a perfect scorer's on as many answers.",
        highlight=False,
    )


def _row(measured: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("good", "auroc", "brier", "brier_of_mean", "ece", "ece_excess")
    return (f"{measured['n']:,}", *("–" if measured[key] is None else f"{measured[key]:.3f}" for key in keys))


def _made_of(section: Mapping[str, Any]) -> str:
    if "weights" not in section:
        return ""
    kinds = sorted({kind for weights in section["weights"] for kind in weights})
    n = max(len(section["weights"]), 1)
    shares = {kind: sum(weights.get(kind, 0.0) for weights in section["weights"]) / n for kind in kinds}
    mixture = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
    return f"{mixture}; calibrated by {', '.join(sorted(set(section['calibration'])))}"

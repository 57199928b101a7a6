"""``spillway label``: labels for a log's answers, by a model of the configuration that grades them.

Knows options and words.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gateway.budgets.counters import BudgetCounters
from gateway.config.check import load_settings
from gateway.config.models import pools_of
from gateway.config.settings import Settings
from gateway.database import Database
from gateway.labelling.journal import Journal
from gateway.labelling.labeller import Labeller, Rules, Tally
from gateway.labelling.rows import CannotLabel, Labels, Row, read_rows, with_labels, write_rows
from gateway.ledger.entry import usd
from gateway.ledger.writer import LedgerWriter
from gateway.offer import tariff_of
from gateway.options import DEFAULT_CONFIG, ConfigOption
from router.grading import pairs
from router.pricing import PriceBook
from scorer.errors import ScorerError
from scorer.logline import LoggedQuery
from scorer.manyvalues import ManyValues

app = typer.Typer()
Pairs = Sequence[tuple[LoggedQuery, tuple[str, str]]]


JudgeOption = Annotated[str, typer.Option("--judge", metavar="MODEL", help="A chat model of the configuration.")]
DataOption = Annotated[
    list[Path],
    typer.Option("--data", metavar="FILE...", help="Logged answers, with or without a quality; one or more."),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The log with its labels; beside it, FILE.calls is the journal.")
]
SplitOption = Annotated[str | None, typer.Option("--split", help="Only queries of this split, e.g. train; else all.")]
AllOption = Annotated[
    bool, typer.Option("--all", help="Also answers that have a label of another source; else only those without any.")
]
NumbersOption = Annotated[
    str | None, typer.Option("--numbers-are", help="The source of qualities that are bare numbers, e.g. check.")
]
MostOption = Annotated[
    float | None, typer.Option("--most-usd", min=0, help="Ask no more once the next call could cost more than this.")
]
AtOnceOption = Annotated[int, typer.Option("--at-once", min=1, max=256, help="So many pairs at a time.")]
AgainOption = Annotated[
    bool, typer.Option("--again", help="Ask again what may have been billed and never came; it may be paid twice.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@app.command("label", cls=ManyValues)
def label(
    judge: JudgeOption,
    data: DataOption,
    out: OutOption,
    split: SplitOption = None,
    regrade: AllOption = False,
    numbers_are: NumbersOption = None,
    most_usd: MostOption = None,
    at_once: AtOnceOption = 8,
    again: AgainOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Have a model grade the answers of a log: two of a query at a time, each pair in both orders.

    Every call is in the ledger, under the organisation ``spillway``, and in a journal: a second run asks only what is
    missing. Labels are of the source ``judge``; answers that got none, and had none, are left out of the new log.
    """
    settings = load_settings(config, serving=False)
    timeout_s = _timeout_s(settings, judge)
    if out.resolve() in {path.resolve() for path in data}:
        raise CannotLabel(f"--out {out}: is one of --data, and would lose the answers that get no label")
    try:
        rows = list(read_rows(data, split=split, numbers_are=numbers_are))
    except ScorerError as error:
        raise CannotLabel(str(error)) from error
    if not rows:
        raise CannotLabel(
            f"{', '.join(map(str, data))}: no lines with answers" + (f" of split {split!r}" if split else "")
        )
    wanted = [_wanted(row, judge, regrade) for row in rows]
    work = [_pairs(row, models, judge) for row, models in zip(rows, wanted, strict=True)]
    most = None if most_usd is None else round(most_usd * 1e9)
    rules = Rules(most_nanousd=most, at_once=at_once, timeout_s=timeout_s, again=again)
    with Journal(out.with_name(f"{out.name}.calls")) as journal:
        flat = [one for pairs_of_row in work for one in pairs_of_row]
        tally, found = asyncio.run(_graded(settings, judge, journal, rules, flat))
        labels = _by_row(work, found, wanted)
        kept = [line for row, given in zip(rows, labels, strict=True) if (line := with_labels(row, given)) is not None]
        report = _report(tally, journal, rows, wanted, labels, n_written=write_rows(out, kept))
    if as_json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(report, out)
    if tally.stopped:
        raise typer.Exit(1)


def _timeout_s(settings: Settings, judge: str) -> float:
    model = next((model for model in settings.models if model.name == judge), None)
    able = [each.name for each in settings.models if each.serves == "chat" and each.mixture is None]
    if model is None or model.name not in able:
        raise CannotLabel(f"{settings.path}: has no chat model {judge!r}; there are {', '.join(able)}")
    return model.timeout_s or settings.server.request_timeout_s


def _wanted(row: Row, judge: str, regrade: bool) -> frozenset[str]:
    """Whose answers are to be graded: not the judge's own, and none twice."""
    done = row.judged if regrade else row.labelled
    return frozenset(row.query.answers) - done - {judge}


def _pairs(row: Row, wanted: frozenset[str], judge: str) -> Pairs:
    beside = frozenset(row.query.answers) - {judge}
    return [(row.query, pair) for pair in pairs(row.query, wanted, beside)]


def _by_row(work: Sequence[Pairs], found: Sequence[Labels], wanted: Sequence[frozenset[str]]) -> list[Labels]:
    """Each wanted answer's grades, from the first pair it is in."""
    left = iter(found)
    told: list[Labels] = []
    for pairs_of_row, models in zip(work, wanted, strict=True):
        labels: dict[str, tuple[float, float]] = {}
        for _ in pairs_of_row:
            for model, grades in next(left).items():
                if model in models:
                    labels.setdefault(model, grades)
        told.append(labels)
    return told


async def _graded(
    settings: Settings, judge: str, journal: Journal, rules: Rules, work: Pairs
) -> tuple[Tally, Sequence[Labels]]:
    tariff, pool = tariff_of(settings), pools_of(settings)[judge]
    database = Database(settings.database_url)
    try:
        await database.migrate()
        ledger = LedgerWriter(database, PriceBook(), reservations=BudgetCounters(database))
        await ledger.start()
        try:
            labeller = Labeller(pool, ledger, tariff, journal, rules)
            return labeller.tally, await labeller.all(work)
        finally:
            await ledger.stop()
            await pool.aclose()
    finally:
        await database.dispose()


def _report(
    tally: Tally,
    journal: Journal,
    rows: Sequence[Row],
    wanted: Sequence[frozenset[str]],
    labels: Sequence[Labels],
    n_written: int,
) -> dict[str, Any]:
    grades = [pair for given in labels for pair in given.values()]
    errors: dict[str, int] = defaultdict(int)
    for error in tally.errors:
        errors[error] += 1
    return {
        "queries": len(rows),
        "answers": {"to_grade": sum(map(len, wanted)), "graded": len(grades)},
        "lines_written": n_written,
        "calls": {
            "answered": tally.answered,
            "of_these_unsure": tally.unsure,
            "failed_unbilled": tally.unpaid,
            "failed_perhaps_billed": tally.lost,
            "answered_before": tally.before,
            "lost_before": tally.lost_before,
        },
        "cost_usd": None if tally.nanousd is None else usd(tally.nanousd),
        "cost_of_all_runs_usd": usd(journal.nanousd),
        "mean_grade": {
            "shown_first": sum(first for first, _ in grades) / len(grades) if grades else None,
            "shown_last": sum(last for _, last in grades) / len(grades) if grades else None,
        },
        "stopped": tally.stopped or None,
        "errors": dict(errors),
    }


def _show(report: Mapping[str, Any], out: Path) -> None:
    answers, calls, mean = report["answers"], report["calls"], report["mean_grade"]
    cost = "unknown, for the judge has no price" if report["cost_usd"] is None else f"{report['cost_usd']} USD"
    typer.echo(f"graded {answers['graded']:,} of {answers['to_grade']:,} answers of {report['queries']:,} queries")
    typer.echo(
        f"calls: {calls['answered']:,} answered ({calls['of_these_unsure']:,} unsure), {calls['failed_unbilled']:,} "
        f"failed unbilled, {calls['failed_perhaps_billed']:,} failed and perhaps billed; known already: "
        f"{calls['answered_before']:,} answered, {calls['lost_before']:,} lost"
    )
    typer.echo(f"cost: {cost}; of all runs {report['cost_of_all_runs_usd']} USD")
    if mean["shown_first"] is not None:
        typer.echo(f"mean grade {mean['shown_first']:.3f} where shown first, {mean['shown_last']:.3f} where shown last")
    for error, times in report["errors"].items():
        typer.echo(f"warning: {times} × {error}", err=True)
    if report["stopped"]:
        typer.echo(f"stopped: {report['stopped']}; run it again to go on", err=True)
    typer.echo(f"{report['lines_written']:,} lines: {out}")

"""The commands ``spillway optimize``, ``spillway replay`` and ``spillway certify``.

Knows options, files and how results are shown. Knows nothing of how a strategy is found, played or certified.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from router.errors import RouterError, StrategyError
from router.offline.cli import PRICES_UNUSED, RayOption, optimize_folder, replay_folder, the_folder
from scorer.errors import ScorerError
from scorer.manyvalues import ManyValues

if TYPE_CHECKING:
    from router.optimize.selection import Rule
    from router.optimize.table import LogScorer, ScoreTable
    from router.pricing import PriceBook
    from router.strategy import Kind as StrategyKind
    from router.strategy import Strategy
    from scorer.dataset import LoggedQuery

app = typer.Typer(no_args_is_help=True)

StrategyOption = Annotated[
    Path, typer.Option("--strategy", metavar="FILE", help="A file that `spillway optimize` wrote.")
]
ScorerOption = Annotated[Path, typer.Option("--scorer", metavar="DIR", help="A scorer that `spillway train` made.")]
DataOption = Annotated[
    list[Path],
    typer.Option(
        "--data", metavar="FILE...", help="Logged answers, JSONL or gzipped JSONL; one or more. Or a folder of Parquet."
    ),
]
PricesOption = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="A price list, JSON or YAML; else prices that litellm knows."),
]
SplitOption = Annotated[str | None, typer.Option("--split", help="Only queries of this split, e.g. train; else all.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out bad lines and count them.")]
ReleaseOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Let first-stage streams go early where that surely loses at most so much quality. Needs a scorer "
        "trained with --prefixes; for policies with streaming: prefix.",
    ),
]
EntryOption = Annotated[
    bool,
    typer.Option(
        "--entry", help="Also choose by a query's category which stage it enters at. Needs a scorer of --categories."
    ),
]
AlphaOption = Annotated[float, typer.Option("--alpha", help="The risk that is not to be exceeded, e.g. 0.05.")]
MaxQualityOption = Annotated[
    bool, typer.Option("--max-quality-at-best-cost", help="The best quality for at most the best single model's cost.")
]
BudgetOption = Annotated[
    float | None, typer.Option(help="The best quality for at most so many US dollars per thousand queries.")
]
KindOption = Annotated[
    str,
    typer.Option(
        "--kind",
        help="wrong_accepted: the share of wrong ones among answers that a judged stage accepts; "
        "quality_drop: the mean quality below the reference model's.",
    ),
]
DeltaOption = Annotated[
    float | None, typer.Option("--delta", help="The probability with which the certificate may be wrong, e.g. 0.1.")
]
MethodOption = Annotated[
    str,
    typer.Option(
        "--method", help="learn_then_test; or conformal: an expectation over calibration sets, for wrong_accepted only."
    ),
]
SelectionOption = Annotated[
    list[Path] | None,
    typer.Option("--selection", metavar="FILE...", help="Logs that the strategy was chosen on; they place the test."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("optimize", cls=ManyValues)
def optimize(
    scorer: ScorerOption,
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the strategy is written.")],
    budget_usd_per_1k: BudgetOption = None,
    min_quality: Annotated[float | None, typer.Option(help="The least cost with at least this quality.")] = None,
    match_best: Annotated[
        bool, typer.Option("--match-best", help="The least cost with at least the best single model's quality.")
    ] = False,
    max_quality_at_best_cost: MaxQualityOption = False,
    kind: Annotated[
        str,
        typer.Option(
            help="threshold, cascade_route, route or best_single; best: the kind that is worth most on held-out folds "
            "(with --release-loss or --entry: threshold, whose stages alone are asked one before another)."
        ),
    ] = "best",
    release_loss: ReleaseOption = None,
    entry: EntryOption = False,
    prices: PricesOption = None,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose a strategy: which models, in which order, with which thresholds.

    Exactly one of --budget-usd-per-1k, --min-quality, --match-best and --max-quality-at-best-cost says what is wanted.
    """
    with _said_in_words():
        from router.display import progress_bar, show_choice, show_entry
        from router.optimize.choose import choose
        from router.optimize.entries import choose_entry
        from scorer.scoring import Scorer

        rule = _rule(budget_usd_per_1k, min_quality, match_best, max_quality_at_best_cost)
        wanted = _kind(kind, entry=entry, release=release_loss is not None)
        folder = the_folder(data)
        if folder is not None:
            _only_of_folders(release_loss, prices, entry=entry)
            optimize_folder(folder, scorer, rule, out, kind=kind, split=split, ray=ray, as_json=as_json)
            return
        _no_cluster(ray)
        judge = Scorer.load(scorer)
        queries = _queries(data, split, skip_bad)
        table = _table(queries, judge, _prices(prices, queries))
        with progress_bar("trying strategies", quiet=as_json) as progress:
            choice = choose(table, rule, scorer_version=judge.version, progress=progress, kind=wanted)
        if release_loss is not None:
            choice = replace(choice, strategy=_releasing(choice.strategy, table, queries, judge, release_loss))
        entered = choose_entry(table, choice.strategy, rule, choice.candidates) if entry else None
        if entered is not None:
            choice = replace(choice, strategy=entered.strategy, held_out=entered.held_out or choice.held_out)
        choice.strategy.dump(out)
        if as_json:
            typer.echo(json.dumps(choice.to_document(), indent=2))
        else:
            show_choice(choice, out)
            if entered is not None:
                show_entry(entered)


@app.command("replay", cls=ManyValues)
def replay(
    strategy: StrategyOption,
    scorer: ScorerOption,
    data: DataOption,
    prices: PricesOption = None,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a strategy over logged answers: its quality, cost and saving, with 95 % intervals."""
    with _said_in_words():
        folder = the_folder(data)
        if folder is not None:
            replay_folder(strategy, scorer, folder, prices=prices, split=split, ray=ray, as_json=as_json)
            return
        _no_cluster(ray)
        from router.display import show_certificate, show_replay
        from router.replay import replay as play
        from router.strategy import Strategy
        from scorer.scoring import Scorer

        played = Strategy.load(strategy)
        judge = Scorer.load(scorer)
        queries = _queries(data, split, skip_bad)
        report = play(played, judge, queries, _prices(prices, queries))
        for warning in report.warnings:
            _warn(warning)
        if as_json:
            typer.echo(json.dumps(report.to_document(), indent=2))
            return
        show_replay(report)
        if played.certificate is not None:
            show_certificate(played.certificate)


@app.command("certify", cls=ManyValues)
def certify(
    strategy: StrategyOption,
    scorer: ScorerOption,
    data: DataOption,
    alpha: AlphaOption,
    kind: KindOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the certified strategy is written.")],
    delta: DeltaOption = None,
    method: MethodOption = "learn_then_test",
    selection: SelectionOption = None,
    leave_out_seen: Annotated[
        bool,
        typer.Option(
            "--leave-out-seen", help="Leave out queries that scorer or strategy have seen; they place the test."
        ),
    ] = False,
    prices: PricesOption = None,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Certify a strategy on queries that neither it nor its scorer has seen, with higher thresholds if need be."""
    with _said_in_words():
        from router.certificate import Kind, Method, Promise
        from router.display import show_certified
        from router.optimize.certify import certify as earn
        from router.optimize.parts import part
        from router.strategy import Strategy
        from scorer.scoring import Scorer

        promise = Promise(kind=cast("Kind", kind), method=cast("Method", method), alpha=alpha, delta=delta)
        chosen, judge = Strategy.load(strategy), Scorer.load(scorer)
        queries = _queries(data, split, skip_bad)
        placing = _queries(selection, None, skip_bad) if selection else ()
        parts = part(queries, chosen, judge, selection=placing, leave_out_seen=leave_out_seen)
        if parts.seen:
            _warn(
                f"{parts.seen} queries are left out: scorer or strategy have seen them or others of their conversations"
            )
        if parts.repeated:
            _warn(f"{parts.repeated} queries are left out: of each conversation, and of equal queries, one counts")
        certified = earn(chosen, judge, parts, _prices(prices, [*queries, *placing]), promise)
        certified.strategy.dump(out)
        if as_json:
            typer.echo(json.dumps(certified.strategy.to_document(), indent=2))
        else:
            show_certified(certified, out)


def _releasing(
    strategy: "Strategy", table: "ScoreTable", queries: "Sequence[LoggedQuery]", scorer: object, loss: float
) -> "Strategy":
    from router.optimize.releases import Releases
    from router.optimize.selection import CAUTION

    releases = Releases(strategy, table, queries, scorer)
    release = releases.choose(loss, CAUTION)
    if release is None:
        _warn(f"no release loses at most {loss:g} of quality surely: streams are held until they are whole")
        return strategy
    done, held = releases.at(release), releases.held
    typer.echo(
        f"released at {release:.3f}: {done.let_go.mean():.0%} of first-stage streams, after {done.seen.mean():.0%} of "
        f"their text on average; quality {(done.quality - held.quality).mean():+.4f}, cost "
        f"{done.cost_nanousd.sum() / held.cost_nanousd.sum() - 1:+.1%} against holding, where it was chosen",
        err=True,
    )
    return strategy.releasing(release)


def _table(queries: "Sequence[LoggedQuery]", judge: "LogScorer", prices: "PriceBook") -> "ScoreTable":
    """Says what is left out of it, and whether its scores are out of fold."""
    from router.optimize.table import ScoreTable

    table = ScoreTable.build(queries, judge, prices)
    for model, reason in sorted(table.left_out.items()):
        _warn(f"{model} is left out: {reason}")
    if not all(judge.trained_on(query_hash) for query_hash in table.query_hashes):
        _warn("the scorer was not trained on all of these queries; their scores are those of the whole scorer")
    return table


def _only_of_folders(loss: float | None, prices: Path | None, *, entry: bool) -> None:
    if loss is not None:
        raise StrategyError("--release-loss: beginnings of answers are judged on logs, not on folders; give files")
    if entry:
        raise StrategyError("--entry: categories are told on logs, not on folders; give files")
    if prices is not None:
        typer.echo(PRICES_UNUSED, err=True)


def _no_cluster(ray: str | None) -> None:
    if ray is not None:
        raise StrategyError("--ray: works on a folder of Parquet; write one with `spillway shards write`")


def _kind(name: str, *, entry: bool, release: bool) -> "StrategyKind | None":
    from router.strategy import Kind

    if name != "best" and name not in get_args(Kind):
        raise StrategyError(f"--kind: must be best or one of {', '.join(get_args(Kind))}, not {name!r}")
    if entry and release:
        raise StrategyError("--entry: cannot stand beside --release-loss, which is about the first stage alone")
    if name == "best":
        return "threshold" if entry or release else None
    return cast("StrategyKind", name)


def _rule(budget: float | None, min_quality: float | None, match_best: bool, max_quality: bool) -> "Rule":
    from router.optimize.selection import Rule

    wanted = []
    if budget is not None:
        wanted.append(Rule(goal="budget-usd-per-1k", amount=budget))
    if min_quality is not None:
        wanted.append(Rule(goal="min-quality", amount=min_quality))
    if match_best:
        wanted.append(Rule(goal="match-best"))
    if max_quality:
        wanted.append(Rule(goal="max-quality-at-best-cost"))
    if len(wanted) != 1:
        given = ", ".join(f"--{rule.goal}" for rule in wanted) or "none"
        raise StrategyError(
            "give exactly one of --budget-usd-per-1k, --min-quality, --match-best, --max-quality-at-best-cost; "
            f"given: {given}"
        )
    return wanted[0]


def _queries(paths: Sequence[Path], split: str | None, skip_bad: bool) -> "tuple[LoggedQuery, ...]":
    from scorer.dataset import read_log

    log = read_log(paths, split=split, skip_bad=skip_bad)
    if log.n_bad:
        _warn(f"{log.n_bad} bad lines are left out")
    if not log.queries:
        what = "no queries" if split is None else f"no queries of split {split!r}"
        raise StrategyError(f"{', '.join(map(str, paths))}: {what}")
    sources = sorted({source for query in log.queries for source in query.sources})
    if len(sources) > 1:
        _warn(
            f"labels are of different sources ({', '.join(sources)}); where an answer has several, the strongest counts"
        )
    return log.queries


def _prices(path: Path | None, queries: "Sequence[LoggedQuery]") -> "PriceBook":
    from router.backends.hosted_catalog import known_price
    from router.pricing import PriceBook

    if path is not None:
        return PriceBook.load(path)
    models = sorted({model for query in queries for model in query.answers})
    return PriceBook(price for price in map(known_price, models) if price is not None)


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


@contextmanager
def _said_in_words() -> Iterator[None]:
    """Errors that have a name end the command with their message and status 2, without a traceback."""
    try:
        yield
    except (RouterError, ScorerError) as error:
        typer.echo(f"spillway: {error}", err=True)
        raise typer.Exit(2) from None

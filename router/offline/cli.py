"""The command group ``spillway shards``: logs as partitioned Parquet; and replays of such folders.

Knows options and words. Knows nothing of how a file is written, played or scored.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.errors import StrategyError
from scorer.manyvalues import ManyValues

if TYPE_CHECKING:
    from router.optimize.selection import Rule

shards = typer.Typer(no_args_is_help=True, help="Logs as partitioned Parquet, for those too large to be read as one.")
app = typer.Typer()
app.add_typer(shards, name="shards")

FolderOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="A folder that `spillway shards` wrote.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder that is made; there must be none.")]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Do the files of a partitioned log on this Ray cluster, e.g. ray://host:10001; local starts one here.",
    ),
]


PRICES_UNUSED = "warning: --prices is not used: the folder has costs, as of when it was written"


@shards.command("write", cls=ManyValues)
def write(
    data: Annotated[
        list[Path], typer.Option("--data", metavar="FILE...", help="Logged answers, JSONL or gzipped JSONL.")
    ],
    out: OutOption,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="A price list, JSON or YAML; else prices that litellm knows."),
    ] = None,
    shard_count: Annotated[int, typer.Option("--shards", min=1, max=10_000, help="Files of each split.")] = 16,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad lines and count them.")] = False,
) -> None:
    """Write logs as one folder of Parquet: a row a logged answer, with its cost at today's prices."""
    from router.offline.costing import costing, pricing
    from scorer.dataset import Reading
    from scorer.partitioned.writing import write_folder

    cost, versions = costing(pricing(prices))
    log = Reading(data, skip_bad=skip_bad)
    manifest = write_folder(out, log, cost=cost, prices=versions, shards=shard_count)
    if log.n_bad:
        typer.echo(f"warning: {log.n_bad} bad lines are left out", err=True)
    for model in manifest.models:
        if model not in manifest.prices:
            typer.echo(f"warning: {model}: its price is not known; its costs are empty", err=True)
    typer.echo(f"{manifest.rows:,} answers to {manifest.queries:,} queries in {len(manifest.parts)} files: {out}")


@shards.command("score", cls=ManyValues)
def score(
    data: FolderOption,
    scorer: Annotated[Path, typer.Option("--scorer", metavar="DIR", help="A scorer that `spillway train` made.")],
    out: OutOption,
    strategy: Annotated[
        Path | None, typer.Option("--strategy", metavar="FILE", help="Only the scores that this strategy goes by.")
    ] = None,
    models: Annotated[
        str | None, typer.Option("--models", help="With commas between; default: all that log and scorer have.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", min=1, max=5, help="For chains of up to so many models.")] = 3,
    ray: RayOption = None,
) -> None:
    """Apply a scorer to a folder's answers, beside each other as strategies will have them, and write a scored one."""
    from router.offline.running import runner_at
    from router.offline.scoring import contexts_of, contexts_up_to, score_folder
    from router.offline.show import told
    from router.strategy import Strategy
    from scorer.partitioned.layout import Manifest
    from scorer.scoring import Scorer

    manifest, known = Manifest.load(data), Scorer.load(scorer).models
    if strategy is not None and models is not None:
        raise StrategyError("--strategy and --models: give one of them; a strategy names its models")
    if strategy is not None:
        wanted = Strategy.load(strategy)
        chosen, contexts = wanted.models, contexts_of(wanted)
    else:
        every = [model for model in manifest.models if model in known]
        chosen = tuple(every if models is None else (model.strip() for model in models.split(",")))
        contexts = contexts_up_to(chosen, depth)
    with runner_at(ray) as runner, told("scoring") as progress:
        scored = score_folder(data, out, scorer.absolute(), runner, models=chosen, contexts=contexts, progress=progress)
    typer.echo(
        f"{scored.rows:,} answers, {len(scored.scored)} models scored by themselves and beside "
        f"{len(scored.contexts) - 1} sets of others: {out}"
    )


@shards.command("label")
def label(
    data: FolderOption,
    labels: Annotated[
        Path,
        typer.Option(
            "--labels", metavar="FILE", help="CSV, JSON lines or Parquet with query_id, model, source and quality."
        ),
    ],
    out: OutOption,
    ray: RayOption = None,
) -> None:
    """Join labels that came later onto a folder's answers and write a labelled one; the strongest source counts."""
    from router.offline.labelling import label_folder
    from router.offline.running import runner_at
    from router.offline.show import told

    with runner_at(ray) as runner, told("labelling") as progress:
        _, given, met = label_folder(data, out, labels, runner, progress=progress)
    typer.echo(f"{met:,} of {given:,} labels met an answer: {out}")


@shards.command("check")
def check(data: FolderOption) -> None:
    """Hold every file's content against the hash that was written with it."""
    from scorer.partitioned.layout import Manifest

    manifest = Manifest.load(data)
    manifest.verify(data)
    typer.echo(
        f"{manifest.rows:,} answers to {manifest.queries:,} queries in {len(manifest.parts)} files, all as written"
    )


def replay_folder(
    strategy: Path, scorer: Path, data: Path, *, prices: Path | None, split: str | None, ray: str | None, as_json: bool
) -> None:
    """``spillway replay`` on a partitioned log: costs and scores of the folder, sums by file."""
    from router.errors import ScoresMissing
    from router.offline.costing import book
    from router.offline.following import Followed
    from router.offline.playing import Played
    from router.offline.replaying import report
    from router.offline.running import runner_at
    from router.offline.shard import Question, asked_of
    from router.offline.show import show_folder_replay, told
    from router.strategy import Strategy
    from scorer.partitioned.layout import Manifest
    from scorer.scoring import Scorer

    manifest, wanted = Manifest.load(data), Strategy.load(strategy)
    if wanted.needs_scorer:
        wanted.check_scorer(Scorer.load(scorer).version)
    question: Question
    try:
        question = Played.of(wanted, manifest)
        if prices is not None:
            typer.echo(PRICES_UNUSED, err=True)
    except ScoresMissing as missing:
        typer.echo(f"warning: {missing}: every answer is read and judged anew, which is slow", err=True)
        question = Followed(strategy=wanted, scorer=scorer.absolute(), prices=book(prices, manifest.models))
    with runner_at(ray) as runner, told("replaying", quiet=as_json) as progress:
        sums = asked_of(data, manifest, question, runner, split=split, progress=progress)
    parts = manifest.of_split(split)
    found = report(wanted, sums, queries=sum(p.queries for p in parts), rows=sum(p.rows for p in parts))
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        typer.echo(json.dumps(found.to_document(), indent=2))
    else:
        show_folder_replay(found)


def optimize_folder(
    data: Path, scorer: Path, rule: "Rule", out: Path, *, kind: str, split: str | None, ray: str | None, as_json: bool
) -> None:
    """``spillway optimize`` on a scored folder: threshold cascades, by sums of every file."""
    from router.offline.optimizing import choose_on_folder
    from router.offline.running import runner_at
    from router.offline.show import show_folder_choice, told
    from router.optimize.search import SearchSpace
    from scorer.partitioned.layout import Manifest
    from scorer.scoring import Scorer

    if kind not in ("best", "threshold", "best_single"):
        raise StrategyError(f"--kind {kind}: plans are fitted on logs, not on folders of Parquet; give files")
    manifest, version = Manifest.load(data), Scorer.load(scorer).version
    if manifest.scorer_version not in (None, version):
        raise StrategyError(f"--scorer: is {version}, but {data} has scores of {manifest.scorer_version}")
    space = SearchSpace(depth=1) if kind == "best_single" else None
    with runner_at(ray) as runner, told("searching", quiet=as_json) as progress:
        choice = choose_on_folder(data, manifest, rule, runner, split=split, space=space, progress=progress)
    choice.strategy.dump(out)
    if as_json:
        typer.echo(json.dumps(choice.strategy.to_document(), indent=2))
    else:
        show_folder_choice(choice, out)


def the_folder(data: list[Path]) -> Path | None:
    """The partitioned log that ``--data`` names, None where it names files. Raises StrategyError for a mixture."""
    folders = [path for path in data if path.is_dir()]
    if folders and len(data) > 1:
        raise StrategyError("--data: one folder of Parquet, or files; not several, and not both")
    return folders[0] if folders else None

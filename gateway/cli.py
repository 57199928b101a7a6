"""The ``spillway`` command: its own commands, and the wiring of those that other packages bring.

Knows which module brings which command and imports it only when that command is called, so that help stays quick and
a module that cannot be imported breaks nothing but its own commands.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from gateway.errors import GatewayError
from gateway.options import DEFAULT_CONFIG, ConfigOption
from router.errors import RouterError
from scorer.errors import ScorerError


@dataclass(frozen=True, slots=True)
class Brought:
    """A command that lives elsewhere: ``module`` has a Typer ``app`` that holds it, or a function of its name."""

    name: str
    module: str
    help: str


BROUGHT = (
    Brought("orgs", "gateway.admin.cli", "Organisations: none sees another's answers, decisions or spend."),
    Brought("teams", "gateway.admin.cli", "Teams of an organisation."),
    Brought("keys", "gateway.admin.cli", "Create, list, change, rotate and revoke the keys that clients call with."),
    Brought("budgets", "gateway.admin.budget_cli", "What an organisation, a team or a key may spend."),
    Brought("limits", "gateway.admin.cli", "How much an organisation, a team or a key may ask for."),
    Brought("label", "gateway.labelling.command", "Have a model grade the answers of a log, each pair in both orders."),
    Brought("train", "scorer.cli", "Train a scorer from logged answers."),
    Brought("optimize", "router.cli", "Choose a strategy: which models, in which order, with which thresholds."),
    Brought("replay", "router.cli", "Replay a strategy over logged answers: quality, cost, saving."),
    Brought("shards", "router.offline.cli", "Logs as partitioned Parquet: write, score, label and check them."),
    Brought("certify", "router.cli", "Certify a strategy's quality on queries that nothing has seen."),
    Brought("benchmark", "router.benchmark.cli", "Measure how good strategies are, on logged answers."),
    Brought("plan", "router.capacity.cli", "What hosting a model oneself takes and costs: memory, speed, dollars."),
    Brought("backends", "gateway.experts.command", "Ask endpoints what they can do; show what was found."),
    Brought("spend", "gateway.ledger.cli", "What was spent and saved: by model, key, team, tag, day, …"),
    Brought("report", "gateway.dashboard.report_command", "What a month cost and saved, as one HTML or PDF file."),
    Brought(
        "export",
        "gateway.ledger.export.export_command",
        "The ledger as CSV or Parquet: requests, attempts, lines, hours, FOCUS.",
    ),
    Brought(
        "reconcile",
        "gateway.ledger.reconcile.reconcile_command",
        "Hold a provider's invoice or usage against the ledger.",
    ),
    Brought("prices", "gateway.admin.prices_command", "Compare and import prices; price settled calls anew."),
    Brought("ledger", "gateway.ledger.verify_command", "Check the ledger against its hash chains; roll it up."),
    Brought("transcripts", "gateway.transcripts.command", "Questions and answers that were kept: a log to train from."),
    Brought("demo", "gateway.demo.cli", "See a cascade at work on simulated models, without any key."),
    Brought("simulate", "gateway.demo.cli", "Serve the demo's simulated models."),
)


def build(arguments: Sequence[str]) -> typer.Typer:
    """The root command for a command line; only the module of the command that it names is imported."""
    root = typer.Typer(
        name="spillway",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    root.callback()(about)
    root.command("serve")(serve)
    root.command("init")(init)
    root.command("check-config")(check_config)
    root.command("migrate")(migrate)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    wanted = next((brought.module for brought in BROUGHT if brought.name == called), None)
    if wanted is not None:
        _register(root, wanted)
    for brought in BROUGHT:
        if brought.module != wanted:
            root.command(brought.name, help=brought.help)(_unloaded)
    return root


def _register(root: typer.Typer, module: str) -> None:
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        raise GatewayError(f"this command cannot be loaded, for {module} cannot be imported: {error}") from error
    app = getattr(loaded, "app", None)
    if isinstance(app, typer.Typer):
        root.add_typer(app)
        return
    for brought in BROUGHT:
        command: Callable[..., None] | None = getattr(loaded, brought.name, None)
        if brought.module == module and command is not None:
            root.command(brought.name, help=brought.help)(command)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spillway {importlib.metadata.version('spillway')}")
        raise typer.Exit


def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Cheap models first; a learned scorer decides what spills over to costlier ones."""


def _unloaded() -> None:
    """Stands in help for a command whose module was not needed."""


def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Instead of server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of server.port; 0 for any free one.")] = None,
) -> None:
    """Serve the gateway until it is told to stop; requests under way are then completed."""
    from gateway.config.check import load_settings
    from gateway.serve import run

    raise typer.Exit(run(partial(load_settings, config, host=host, port=port)))


def init(
    config: ConfigOption = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented configuration from the provider keys found in the environment."""
    from gateway.config.starter import write_config

    for line in write_config(config, force=force):
        typer.echo(line)


def check_config(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Say what is wrong with a configuration, or what it will serve."""
    from gateway.config.check import load_settings
    from gateway.describe import describe

    for line in describe(load_settings(config)):
        typer.echo(line)


def migrate(
    config: ConfigOption = DEFAULT_CONFIG,
    url: Annotated[
        str | None,
        typer.Option("--database-url", envvar="SPILLWAY_DATABASE_URL", help="Instead of a configuration's database."),
    ] = None,
) -> None:
    """Bring the database's schema to this version; any number of these may run at once, each whole or not at all."""
    import asyncio

    from gateway.config.check import load_settings
    from gateway.database import migrated

    before, after = asyncio.run(migrated(url or load_settings(config, serving=False).database_url))
    typer.echo(f"the schema stands at {after}" + ("" if before == after else f"; before, at {before or 'nothing'}"))


def main() -> None:
    """The entry point: errors that have a name are said in words, without a traceback."""
    try:
        build(sys.argv[1:])()
    except (GatewayError, RouterError, ScorerError) as error:
        typer.echo(f"spillway: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

"""``spillway budgets``: what an organisation, a team or a key may spend, and how that stands.

Knows options and words. What is done, and whether it makes sense, is in ``gateway/admin/treasury.py``.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.admin.cli import OPERATOR, JsonOption, LevelArgument, amount
from gateway.admin.office import Office
from gateway.admin.treasury import BudgetWish, Treasury, standing_told
from gateway.admin.visit import show, visit
from gateway.budgets.alerts import AlertStore
from gateway.budgets.store import BudgetStore
from gateway.budgets.windows import Period
from gateway.keys import KeyStore
from gateway.options import DEFAULT_CONFIG, ConfigOption
from gateway.tenancy.directory import Directory
from gateway.tenancy.scope import Scope

T = TypeVar("T")
app = typer.Typer()
budgets = typer.Typer(help="What an organisation, a team or a key may spend.", no_args_is_help=True)
app.add_typer(budgets, name="budgets")


def in_treasury(config: Path, act: Callable[[Treasury], Awaitable[T]]) -> T:
    """One visit of the operator's."""
    return visit(
        config,
        lambda database: act(
            Treasury(Office(Directory(database), KeyStore(database)), BudgetStore(database), AlertStore(database))
        ),
    )


@budgets.command("set")
def budgets_set(
    level: LevelArgument,
    scope_id: Annotated[str, typer.Argument(metavar="ID")],
    usd: Annotated[str, typer.Argument(metavar="USD", help="How much in each window, e.g. 100 or 0.25.")],
    period: Annotated[Period, typer.Option(help="In UTC; weeks begin on Monday; total never ends.")] = "monthly",
    soft: Annotated[bool, typer.Option("--soft", help="Count and tell, and refuse nothing.")] = False,
    paced: Annotated[bool, typer.Option("--paced", help="Escalate less as it runs down.")] = False,
    alert: Annotated[list[int] | None, typer.Option(help="Tell at this percentage (repeat).")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Set a budget, or change the one that there is of this scope, period and kind.

    It holds from the next call on. Alerts are told at 50, 80 and 100 % unless others are given.
    """
    wish = BudgetWish(
        scope=Scope(level=level, id=scope_id),
        period=period,
        amount_nanousd=amount("USD", usd),
        hard=not soft,
        paced=paced,
        alert_percents=(50, 80, 100) if alert is None else tuple(alert),
    )
    typer.echo(in_treasury(config, lambda treasury: treasury.set_budget(OPERATOR, wish)).budget_id)


@budgets.command("list")
def budgets_list(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List budgets: what they allow, what is set aside and spent in the window of the moment, what is left."""
    rows = [standing_told(found) for found in in_treasury(config, lambda treasury: treasury.standings(OPERATOR))]
    columns = (
        "id",
        "level",
        "scope",
        "period",
        "kind",
        "limit_usd",
        "settled_usd",
        "reserved_usd",
        "left_usd",
        "resets",
    )
    show(rows, columns, as_json=as_json, nothing="There are no budgets; `spillway budgets set org ID USD` makes one.")


@budgets.command("remove")
def budgets_remove(budget_id: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Let a budget bind nobody any more."""
    in_treasury(config, lambda treasury: treasury.remove_budget(OPERATOR, budget_id))
    typer.echo(f"{budget_id} binds nobody any more.")


@budgets.command("alerts")
def budgets_alerts(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the thresholds that were reached, newest first, and whether anybody was told."""
    rows = in_treasury(config, lambda treasury: treasury.alerts(OPERATOR))
    columns = ("budget", "scope", "percent", "raised", "settled_usd", "limit_usd", "state", "tries", "trouble")
    show(rows, columns, as_json=as_json, nothing="No threshold was reached.")
